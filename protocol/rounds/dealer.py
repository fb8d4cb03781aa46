"""The dealer of one shard-round: three waves, reveals, a report."""

from __future__ import annotations

from protocol.audit import probation_of, secret_commitment
from protocol.batch import Batch, BatchError, plan_batch
from protocol.codec import encode
from protocol.commitments import ANSWER_BYTES
from protocol.epochs.view import Epoch
from protocol.evidence import find_false_reveal
from protocol.hashing import content_digest
from protocol.items import ItemError
from protocol.messages import WAVES, Challenge, Commit, CommitRef, Lock, Reveal, SealedWave
from protocol.report import Proceedings, ScoredShard, ScoreTask, report_body, report_header
from protocol.rounds.effects import (
    Broadcast,
    Effect,
    Fetch,
    Penalise,
    Persist,
    Provide,
    Publish,
    Purpose,
    ReleasedItems,
    ReportMade,
    RoundVoid,
    Score,
    SetTimer,
    Step,
)
from protocol.rounds.events import (
    Deal,
    Event,
    Fetched,
    PeerGone,
    Received,
    Scored,
    ScoringFailed,
    TimerFired,
    Unavailable,
)
from protocol.rounds.phases import DEALER_TABLE, DealerMove, DealerPhase, Phases
from protocol.schedule import ShardRound, mask_secret, shard_of
from protocol.sealing import wave_key
from protocol.statement import Statement, statement_digest

_WAVE_OF = {DealerPhase.WAVE_1: 1, DealerPhase.WAVE_2: 2, DealerPhase.WAVE_3: 3}


class DealerMachine:
    """One shard-round as its dealer lives it. Tables are bounded by the shard's size."""

    def __init__(self, epoch: Epoch, at: ShardRound, me: bytes) -> None:
        self.epoch = epoch
        self.at = at
        self.me = me
        self._phases = Phases(DealerPhase.IDLE, DEALER_TABLE)
        self._shard = shard_of(epoch, at)
        self._eligible: set[bytes] = set(self._shard)  # who has missed nothing so far
        self._gone: set[bytes] = set()  # whose answers still count, but nobody waits for them
        self._commits: tuple[dict[bytes, Statement[Commit]], ...] = ({}, {}, {})
        self._late: set[tuple[int, bytes]] = set()
        self._previous = b""  # digest of the statement the current wave's commits must answer
        self._challenge: Statement[Challenge] | None = None
        self._locks: dict[int, Statement[Lock]] = {}
        self._reveals: dict[bytes, Statement[Reveal]] = {}
        self._fetching: dict[bytes, dict[bytes, int]] = {}  # encoder -> digest -> size_bytes, on their way
        self._revealed: set[bytes] = set()
        self._deal = Deal(b"", (), ())
        self._batch: Batch | None = None
        self._phase_began_ms = 0

    @property
    def phase(self) -> DealerPhase:
        """Where this dealer is."""
        return self._phases.current

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """The effects of one event; events that do not concern the current phase have none."""
        match event:
            case Deal() if self.phase is DealerPhase.IDLE:
                return self._start(event, now_ms)
            case Received(statement) if isinstance(statement.body, Challenge) and statement.signer == self.me:
                self._challenge = statement  # type: ignore[assignment]
            case Received(statement) if isinstance(statement.body, Lock) and statement.signer == self.me:
                self._locks[statement.body.wave] = statement  # type: ignore[assignment]
            case Received(statement) if isinstance(statement.body, Commit):
                return self._commit(statement, statement.body, now_ms)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Reveal):
                return self._reveal(statement, now_ms)  # type: ignore[arg-type]
            case Fetched(digest, data) if self.phase is DealerPhase.REVEALS:
                return self._arrived(digest, len(data), now_ms)
            case Unavailable(digest, sources) if self.phase is DealerPhase.REVEALS:
                return self._give_up_on(sorted(set(sources) & set(self._owners(digest))), now_ms)
            case PeerGone(key) if key in self._eligible and self.phase is not DealerPhase.IDLE:
                self._gone.add(key)
                return self._close_if_complete(now_ms)
            case TimerFired(timer) if timer == self.phase.value:
                return self._deadline(now_ms)
            case Scored(scores) if self.phase is DealerPhase.SCORING:
                return self._report(scores, now_ms)
            case ScoringFailed(reason) if self.phase is DealerPhase.SCORING:
                return self._void(reason)
        return []

    # -- waves ---------------------------------------------------------------------------------------------

    def _start(self, deal: Deal, now_ms: int) -> list[Effect]:
        secret = mask_secret(self.epoch, self.at, deal.preimage)
        parameters = self.epoch.parameters
        try:
            batch = plan_batch(
                secret,
                [item.data for item in deal.scored],
                deal.served,
                parameters.masks_per_item,
                self.epoch.genesis.modality,
                self.epoch.genesis.first_mask,
            )
        except (BatchError, ItemError) as error:
            return self._void(f"the items make no batch: {error}")
        first, second, third = (
            SealedWave(content_digest(sealed), len(sealed), len(views))
            for sealed, views in zip(batch.sealed, batch.waves, strict=True)
        )
        challenge = Challenge(
            at=self.at,
            waves=(first, second, third),
            secret_commitment=secret_commitment(secret),
            wave_key=wave_key(secret, 1),
            wave_deadline_ms=parameters.wave_deadline_ms,
            reveal_deadline_ms=parameters.reveal_deadline_ms,
        )
        self._deal, self._batch = deal, batch
        self._previous = statement_digest(self.epoch.network_id, self.me, challenge)
        self._phases.move(DealerMove.DEAL)
        self._phase_began_ms = now_ms
        return [
            Persist(ReleasedItems(self.at, tuple(item.data for item in deal.scored), deal.served)),
            *(Provide(sealed, Purpose.VIEWS) for sealed in batch.sealed),
            Broadcast(challenge, self._shard),
            SetTimer(self.phase.value, now_ms + parameters.wave_deadline_ms),
            Publish(self.at, Step.DEALT, missing=self._shard, detail=f"{sum(map(len, batch.waves))} views"),
        ]

    def _commit(self, statement: Statement[Commit], commit: Commit, now_ms: int) -> list[Effect]:
        wave = _WAVE_OF.get(self.phase)
        closed = commit.wave < wave if wave else self.phase is not DealerPhase.IDLE
        if closed:
            return self._late_commit(statement, commit)
        if commit.wave != wave or commit.lock != self._previous or statement.signer not in self._eligible:
            return []
        self._gone.discard(statement.signer)
        self._commits[wave - 1].setdefault(statement.signer, statement)
        return self._close_if_complete(now_ms)

    def _late_commit(self, statement: Statement[Commit], commit: Commit) -> list[Effect]:
        key = (commit.wave, statement.signer)
        if statement.signer in self._commits[commit.wave - 1] or key in self._late:
            return []
        if statement.signer not in self._shard:
            return []
        self._late.add(key)
        return [Publish(self.at, Step.LATE, wave=commit.wave, answered=(statement.signer,))]

    def _close_if_complete(self, now_ms: int) -> list[Effect]:
        """End the phase when nobody is awaited any longer."""
        awaited = self._eligible - self._gone
        wave = _WAVE_OF.get(self.phase)
        if wave is not None and not awaited - self._commits[wave - 1].keys():
            return self._close_wave(wave, now_ms)
        if self.phase is DealerPhase.REVEALS and not awaited - self._revealed:
            return self._close_reveals(now_ms)
        return []

    def _close_wave(self, wave: int, now_ms: int) -> list[Effect]:
        commits = self._commits[wave - 1]
        if len(commits) < self.epoch.parameters.encoders_min:
            return self._void(f"only {len(commits)} encoders committed to wave {wave}")
        secret = mask_secret(self.epoch, self.at, self._deal.preimage)
        lock = Lock(
            at=self.at,
            wave=wave,
            previous=self._previous,
            commits=tuple(CommitRef(key, commits[key].digest) for key in sorted(commits)),
            next_wave_key=wave_key(secret, wave + 1) if wave < WAVES[-1] else b"",
        )
        missing = tuple(sorted(set(self._shard) - commits.keys()))
        self._previous = statement_digest(self.epoch.network_id, self.me, lock)
        self._eligible = set(commits)
        self._gone = set()  # whether they come back for the next wave is seen then
        elapsed_ms = now_ms - self._phase_began_ms
        self._phases.move(DealerMove.CLOSE_WAVE)
        self._phase_began_ms = now_ms
        parameters = self.epoch.parameters
        patience_ms = parameters.wave_deadline_ms if wave < WAVES[-1] else parameters.reveal_deadline_ms
        return [
            Broadcast(lock, tuple(sorted(commits))),
            SetTimer(self.phase.value, now_ms + patience_ms),
            Publish(self.at, Step.LOCKED, wave, elapsed_ms, tuple(sorted(commits)), missing),
        ]

    # -- reveals -------------------------------------------------------------------------------------------

    def _reveal(self, statement: Statement[Reveal], now_ms: int) -> list[Effect]:
        key = statement.signer
        if self.phase is not DealerPhase.REVEALS or key not in self._eligible or key in self._reveals:
            return []
        if statement.body.lock != self._previous:
            return []
        self._gone.discard(key)
        evidence = find_false_reveal(
            self.epoch.network_id, statement, [commits[key] for commits in self._commits]
        )
        if evidence is not None:
            return [
                Penalise(key, "its reveal contradicts its commit"),
                Broadcast(evidence),
                *self._give_up_on([key], now_ms),
            ]
        self._reveals[key] = statement
        assert self._batch is not None
        sizes_bytes: dict[bytes, int] = {}
        for digest, views in zip(statement.body.answers, self._batch.waves, strict=True):
            size_bytes = len(views) * ANSWER_BYTES
            if sizes_bytes.setdefault(digest, size_bytes) != size_bytes:
                # Scoring would fail on them, and with it the round of everybody else.
                return [Penalise(key, "it names one blob for two sizes"), *self._give_up_on([key], now_ms)]
        self._fetching[key] = sizes_bytes
        return [
            Fetch(digest, size_bytes, (key,), Purpose.REVEAL) for digest, size_bytes in sizes_bytes.items()
        ]

    def _owners(self, digest: bytes) -> list[bytes]:
        return [key for key, digests in sorted(self._fetching.items()) if digest in digests]

    def _arrived(self, digest: bytes, size_bytes: int, now_ms: int) -> list[Effect]:
        # The same answers by several encoders are fetched once or several times and count for each of them;
        # who named them for a wave of another size has revealed nothing.
        refuted = []
        for key in self._owners(digest):
            if self._fetching[key].pop(digest) != size_bytes:
                refuted.append(key)
            elif not self._fetching[key]:
                del self._fetching[key]
                self._revealed.add(key)
        return self._give_up_on(refuted, now_ms)

    def _give_up_on(self, keys: list[bytes], now_ms: int) -> list[Effect]:
        """These encoders have withheld their answers."""
        for key in keys:
            self._eligible.discard(key)
            self._fetching.pop(key, None)
        return self._close_if_complete(now_ms)

    def _close_reveals(self, now_ms: int) -> list[Effect]:
        if len(self._revealed) < self.epoch.parameters.encoders_min:
            return self._void(f"only {len(self._revealed)} encoders revealed")
        elapsed_ms = now_ms - self._phase_began_ms
        self._phases.move(DealerMove.CLOSE_REVEALS)
        self._phase_began_ms = now_ms
        self._reveals = {key: self._reveals[key] for key in sorted(self._revealed)}
        assert self._batch is not None
        answers = tuple(self._reveals[k].body.answers if k in self._reveals else None for k in self._shard)
        missing = tuple(sorted(set(self._commits[2]) - self._revealed))
        return [
            Publish(self.at, Step.REVEALED, 0, elapsed_ms, tuple(sorted(self._revealed)), missing),
            Score(
                ScoreTask(
                    self.at,
                    self.epoch.parameters.rule,
                    self._shard,
                    answers,
                    self._batch,
                    probation_of(self.epoch, self._shard),
                    self.epoch.record.means,
                )
            ),
        ]

    # -- ends ----------------------------------------------------------------------------------------------

    def _deadline(self, now_ms: int) -> list[Effect]:
        wave = _WAVE_OF.get(self.phase)
        if wave is not None:
            return self._close_wave(wave, now_ms)
        return self._close_reveals(now_ms) if self.phase is DealerPhase.REVEALS else []

    def _report(self, scores: ScoredShard, now_ms: int) -> list[Effect]:
        assert self._batch is not None
        if self._challenge is None or len(self._locks) < len(WAVES):
            return self._void("own statements did not come back: the node was flooded")
        gathered = Proceedings(
            self._challenge, [self._locks[wave] for wave in WAVES], self._commits, self._reveals
        )
        body = encode(report_body(gathered, self._deal.scored, self._deal.served, scores))
        header = report_header(
            self.at,
            self._challenge.digest,
            self._previous,
            content_digest(body),
            len(body),
            self._batch,
            scores.consensus,
            self._deal.preimage,
        )
        self._phases.move(DealerMove.REPORT)
        elapsed_ms = now_ms - self._phase_began_ms
        return [
            Provide(body, Purpose.REPORT),
            Persist(ReportMade(self.at, header, body)),
            Broadcast(header),
            Publish(self.at, Step.REPORTED, 0, elapsed_ms),
        ]

    def _void(self, reason: str) -> list[Effect]:
        self._phases.move(DealerMove.GIVE_UP)
        return [Persist(RoundVoid(self.at, reason)), Publish(self.at, Step.VOID, detail=reason)]
