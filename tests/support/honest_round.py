"""One small certified shard-round without tensors: what everyone said in it, and the keys to lie about it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import msgspec

from protocol.codec import encode
from protocol.commitments import ANSWER_BYTES
from protocol.genesis import Genesis
from protocol.hashing import content_digest, digest
from protocol.items import canonical_text
from protocol.messages import Body, Certificate, Challenge, Commit, Lock, Report, Reveal
from protocol.report import VECTOR_BYTES, Deviation, ReportBody, ScoredShard, ScoreTask, Term
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, shard_round, slot_start_ms
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.epochs import dealer_of, shard_of
from tests.support.genesis import small_network
from tests.support.memory_network import Blobs, Encode, Identity, MemoryNetwork

B = TypeVar("B", bound=Body)

ITEMS = 8
SERVED = (
    canonical_text("a short question"),
    canonical_text("what a user of this network would like to have embedded by all"),
)


@dataclass
class HonestRound:
    """What happened, and the secrets of everybody."""

    genesis: Genesis
    people: dict[bytes, Identity]
    at: ShardRound
    header: Statement[Report]
    certificate: Statement[Certificate]
    body: ReportBody
    said: list[Statement[Body]]
    told: dict[bytes, list[ev.Event]]
    """The events of each member, in order."""
    deal: ev.Deal
    now_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.now_ms = slot_start_ms(self.genesis, self.at.round) + 1_000

    @property
    def dealer(self) -> bytes:
        return dealer_of(self.genesis, self.at)

    @property
    def shard(self) -> tuple[bytes, ...]:
        return shard_of(self.genesis, self.at)

    @property
    def bystanders(self) -> list[bytes]:
        """Validators that did not deal, in key order."""
        return [key for key in self.genesis.validators if key != self.dealer]

    @property
    def stranger(self) -> bytes:
        """An encoder that was not drawn."""
        return next(key for key in self.genesis.encoders if key not in self.shard)

    def of(self, kind: type[B]) -> list[Statement[B]]:
        """All statements of one kind, in the order they were made."""
        return [statement for statement in self.said if isinstance(statement.body, kind)]  # type: ignore[misc]

    @property
    def challenge(self) -> Statement[Challenge]:
        return self.of(Challenge)[0]

    @property
    def locks(self) -> list[Statement[Lock]]:
        return self.of(Lock)

    def commit(self, key: bytes, wave: int) -> Statement[Commit]:
        return next(s for s in self.of(Commit) if s.signer == key and s.body.wave == wave)

    def reveal(self, key: bytes) -> Statement[Reveal]:
        return next(s for s in self.of(Reveal) if s.signer == key)

    def sign(self, key: bytes, body: B) -> Statement[B]:
        """A statement with a member's real key."""
        network_id = self.genesis.network_id
        seed = self.people[key].seed
        return assemble(network_id, key, body, sign(seed, statement_digest(network_id, key, body)))

    def forged(self, key: bytes, body: B) -> Statement[B]:
        """A statement in a member's name that somebody else signed."""
        name = statement_digest(self.genesis.network_id, key, body)
        return assemble(self.genesis.network_id, key, body, sign(digest("forger"), name))

    def report(self, body: ReportBody | bytes, **changes: object) -> tuple[Statement[Report], bytes]:
        """The dealer's header over another body, and the body's bytes."""
        data = body if isinstance(body, bytes) else encode(body)
        changes = {"body": content_digest(data), "body_bytes": len(data), **changes}
        return self.sign(self.dealer, msgspec.structs.replace(self.header.body, **changes)), data


def answers_of(name: bytes) -> Encode:
    """Different answers for every text and encoder."""

    def answer(wave: int, texts: Sequence[str]) -> bytes:
        return b"".join(digest("answer", name, text.encode()) * (ANSWER_BYTES // 32) for text in texts)

    return answer


def plain_scores(task: ScoreTask, blobs: Blobs) -> ScoredShard:
    """One share for everyone who revealed."""
    revealed = [answers is not None and all(name in blobs for name in answers) for answers in task.answers]
    score = struct.pack(f"<{len(revealed)}d", *(1.0 if here else 0.0 for here in revealed))
    weight = struct.pack(f"<{len(revealed)}d", *((1.0 if here else 0.0) / sum(revealed) for here in revealed))
    items = len(task.batch.items)
    valid = b"".join((b"\x01" if here else b"\x00") * items for here in revealed)
    availability = Term("availability", score)
    vectors = (bytes(VECTOR_BYTES * count) for count in (items, len(revealed)))
    return ScoredShard(valid, score, weight, (availability,), *vectors)


def plain_comparison(task: ScoreTask, blobs: Blobs, claimed: ScoredShard) -> tuple[Deviation, ...]:
    return (Deviation("score", b"", 0 if plain_scores(task, blobs) == claimed else 1_000_000),)


class Recording(MemoryNetwork):
    """A network that serves users' items and remembers what everybody was told."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.told: dict[bytes, list[ev.Event]] = {key: [] for key in self.nodes}

    def deal(self, at: ShardRound, dealer: bytes) -> ev.Deal:
        honest = super().deal(at, dealer)
        return ev.Deal(honest.preimage, honest.scored, SERVED)

    def _later(self, key: bytes, event: ev.Event, delay_ms: int) -> None:
        self.told[key].append(event)
        super()._later(key, event, delay_ms)


@cache
def honest_round(seed: str = "a", *, silent: bool = False) -> HonestRound:
    """Round 1 of 4 validators and 6 encoders, 5 of them in the shard; with `silent` one never reveals."""
    genesis, validators, encoders = small_network(4, 6, items=ITEMS, seed=seed, shard_size=5)
    people = {person.key: person for person in (*validators, *encoders)}
    at = shard_round(genesis, 1, 0)
    mute = shard_of(genesis, at)[0]
    net = Recording(
        genesis,
        list(people.values()),
        {person.key: answers_of(person.key) for person in encoders},
        plain_scores,
        plain_comparison,
        tamper=(lambda key, data: b"" if key == mute else data) if silent else None,
    )
    net.run(at)
    dealer = net.nodes[dealer_of(genesis, at)]
    (fact,) = [fact for fact in dealer.facts if isinstance(fact, fx.RoundCertified)]
    said = [statement for node in net.nodes.values() for statement in node.said]
    (certificate,) = [s for s in dealer.said if isinstance(s.body, Certificate)]
    return HonestRound(
        genesis,
        people,
        at,
        fact.header,
        certificate,  # type: ignore[arg-type]
        fact.body,
        said,
        net.told,
        net.deal(at, dealer_of(genesis, at)),
    )
