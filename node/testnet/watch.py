"""What goes on in a local network, read from the stores and status files of its nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.clock import now_ms
from node.epochs.history import ReadEpochs
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, StatusError, liveness, read_status
from node.store import Access, RoundRecord, RoundState, ScoreRecord, StepRecord, Store, StoreError
from node.testnet.plan import NodePlan, TestnetPlan
from protocol.codec import decode
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch
from protocol.messages import Certificate, Report
from protocol.schedule import dealer_of, pool_indices, shard_of, shard_round
from protocol.statement import Envelope, parse

CERTIFICATE_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class RoundView:
    """One shard-round, put together from the dealer's steps and everyone's records."""

    round: int
    shard: int
    dealer: bytes
    dealt: bool
    state: RoundState
    reason: str
    wave_ms: dict[int, int]
    reveal_ms: int | None
    score_ms: int | None
    certified_ms: int | None
    """From the challenge to the certificate, on the dealer's clock."""
    committed: dict[int, frozenset[bytes]]
    revealed: frozenset[bytes]
    late: frozenset[bytes]
    scores: tuple[ScoreRecord, ...]
    attesting: tuple[bytes, ...]
    report: bytes | None
    items: int
    disputes: int
    vectors: int
    """Answers of 4,096 bytes asked of each encoder."""
    received_bytes: dict[bytes, int]
    """By encoder, what the dealer received of it on streams between challenge and report: of one in several
    shards of the round also what it attests of the others."""


@dataclass
class Watcher:
    """Reads beside the running nodes; a store that is not there yet, or busy, is read the next time."""

    plan: TestnetPlan
    _stores: dict[str, Store] = field(default_factory=dict)
    _epochs: dict[str, ReadEpochs] = field(default_factory=dict)

    def close(self) -> None:
        """Close every store."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def status(self, node: NodePlan) -> NodeStatus | None:
        """What a node says of itself; None while it does not run."""
        try:
            status = read_status(node.directory / STATUS_FILE_NAME)
        except StatusError:
            return None
        # A node that was killed leaves its last word behind.
        running = status is not None and liveness(status, now_ms()) is Liveness.RUNNING
        return status if running else None

    def ready(self) -> tuple[int, int]:
        """How many nodes run, of how many."""
        running = sum(self.status(node) is not None for node in self.plan.nodes)
        return running, len(self.plan.nodes)

    def round(self, round_: int, shard: int = 0) -> RoundView:
        """One shard-round as it stands now."""
        genesis = self.plan.genesis
        at = shard_round(genesis, round_, shard)
        epoch = self._epoch(at.epoch)
        dealer = b"" if epoch is None else dealer_of(epoch, at)
        steps: list[StepRecord] = []
        records: list[RoundRecord] = []
        scores: list[ScoreRecord] = []
        disputes = 0
        for node in self.plan.validators:
            store = self._store(node)
            if store is None:
                continue
            try:
                record = store.round(round_, shard)
                if node.public_key == dealer:
                    steps = store.steps(round_, shard)
                disputes = max(disputes, len(store.disputes(round_, shard)))
                if record is not None:
                    records.append(record)
                    if record.state is RoundState.CERTIFIED and not scores:
                        scores = store.scores_of(round_, shard)
            except StoreError:
                continue
        return _view(round_, shard, dealer, steps, records, scores, disputes)

    def shard(self, round_: int, shard: int = 0) -> tuple[bytes, ...]:
        """Encoders sampled for a shard-round."""
        at = shard_round(self.plan.genesis, round_, shard)
        epoch = self._epoch(at.epoch)
        return () if epoch is None else shard_of(epoch, at)

    def can_deal(self, round_: int, shard: int = 0) -> bool:
        """Whether the dealer of a shard-round has challenge items left."""
        at = shard_round(self.plan.genesis, round_, shard)
        epoch = self._epoch(at.epoch)
        return epoch is None or bool(pool_indices(epoch, at))

    def _epoch(self, number: int) -> Epoch | None:
        """An epoch that any of the validators knows; the first one needs none of them."""
        if number == 0:
            return Epochs(self.plan.genesis).find(0)
        for node in self.plan.validators:
            store = self._store(node)
            if store is None:
                continue
            epochs = self._epochs.setdefault(node.name, ReadEpochs(self.plan.genesis, store))
            try:
                epoch = epochs.find(number)
            except StoreError:
                continue
            if epoch is not None:
                return epoch
        return None

    def _store(self, node: NodePlan) -> Store | None:
        store = self._stores.get(node.name)
        if store is None:
            path = node.directory / "store.sqlite"
            if not path.exists():
                return None
            try:
                store = Store.open(path, node.directory / "blobs", access=Access.READ_ONLY)
            except StoreError:
                return None
            self._stores[node.name] = store
        return store


def _view(
    round_: int,
    shard: int,
    dealer: bytes,
    steps: list[StepRecord],
    records: list[RoundRecord],
    scores: list[ScoreRecord],
    disputes: int,
) -> RoundView:
    by_step: dict[str, list[StepRecord]] = {}
    for step in steps:
        by_step.setdefault(step.step, []).append(step)
    certified = next((record for record in records if record.state is RoundState.CERTIFIED), None)
    state = certified.state if certified else (records[0].state if records else RoundState.OPEN)
    dealt_ms = by_step["dealt"][0].at_ms if "dealt" in by_step else None
    certified_step = by_step.get("certified")
    attesting: tuple[bytes, ...] = ()
    items = 0
    if certified is not None and certified.certificate is not None and certified.header is not None:
        certificate = decode(certified.certificate, Certificate, size_bytes_max=CERTIFICATE_BYTES_MAX)
        attesting = tuple(vote.validator for vote in certificate.attestations)
        items = _items(certified.header)
    return RoundView(
        round=round_,
        shard=shard,
        dealer=dealer,
        dealt=dealt_ms is not None,
        state=state,
        reason=next((step.detail for step in by_step.get("void", ()) if step.detail), ""),
        wave_ms={step.wave: step.elapsed_ms for step in by_step.get("locked", ())},
        reveal_ms=_elapsed(by_step.get("revealed")),
        score_ms=_elapsed(by_step.get("reported")),
        certified_ms=certified_step[0].at_ms - dealt_ms if certified_step and dealt_ms else None,
        committed={step.wave: frozenset(step.answered) for step in by_step.get("locked", ())},
        revealed=frozenset(key for step in by_step.get("revealed", ()) for key in step.answered),
        late=frozenset(key for step in by_step.get("late", ()) for key in step.answered),
        scores=tuple(scores),
        attesting=attesting,
        report=certified.report_digest if certified else None,
        items=items,
        disputes=disputes,
        vectors=int(by_step["dealt"][0].detail.split()[0]) if "dealt" in by_step else 0,
        received_bytes={
            step.answered[0]: int(step.detail.split()[0]) for step in by_step.get("received", ())
        },
    )


def _elapsed(steps: list[StepRecord] | None) -> int | None:
    return steps[0].elapsed_ms if steps else None


def _items(header: bytes) -> int:
    envelope = decode(header, Envelope, size_bytes_max=CERTIFICATE_BYTES_MAX)
    body = parse(header, envelope.network_id).body
    return body.items if isinstance(body, Report) else 0
