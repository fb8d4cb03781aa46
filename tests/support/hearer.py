"""One node that hears statements, and ways to make every kind of them, honest or not.

Alice deals the round, Bob is another validator, Carol an encoder of the shard and Dave one outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from protocol.certificates import make_certificate
from protocol.evidence import Slot, equivocation
from protocol.genesis import VIEW_OVERHEAD_BYTES, views_bounds
from protocol.gossip_rules import (
    Gossip,
    Judgement,
    judge,
    known_slot,
)
from protocol.hashing import digest
from protocol.messages import (
    Attestation,
    Body,
    Certificate,
    Dispute,
    Evidence,
)
from protocol.modalities import TEXT
from protocol.schedule import ShardRound, shard_round
from protocol.statement import Statement
from protocol.verdict import Verdict
from tests.support.epochs import epochs_of
from tests.support.honest_round import honest_round

ROUND = honest_round()
ALICE, BOB, CAROL, DAVE = ROUND.dealer, ROUND.bystanders[0], ROUND.shard[0], ROUND.stranger
GENESIS, AT = ROUND.genesis, ROUND.at
PARAMETERS = GENESIS.parameters


@dataclass
class Listener:
    """What one node has heard so far."""

    now_ms: int = ROUND.now_ms
    seen: set[bytes] = field(default_factory=set)
    slots: dict[Slot, Statement[Body]] = field(default_factory=dict)

    def hear(self, data: bytes, topic: str | None = None) -> Judgement:
        first_in_slot: Callable[[Any], Statement[Body] | None] = self.slots.get
        judgement = judge(
            data, Gossip(epochs_of(GENESIS), self.now_ms, self.seen.__contains__, first_in_slot, topic)
        )
        if judgement.verdict is Verdict.ACCEPT:
            assert judgement.statement is not None
            self.seen.add(judgement.statement.digest)
            slot = known_slot(judgement.statement, GENESIS.network_id)
            assert slot is not None
            self.slots.setdefault(slot, judgement.statement)
        return judgement


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def sign(key: bytes, body: Body) -> bytes:
    return ROUND.sign(key, body).data


def challenge(**changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.challenge.body, **changes))


def wave_changed(wave: int, **changes: object) -> bytes:
    waves = list(ROUND.challenge.body.waves)
    waves[wave - 1] = changed(waves[wave - 1], **changes)
    return challenge(waves=tuple(waves))


def lock(wave: int = 1, **changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.locks[wave - 1].body, **changes))


def report(**changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.header.body, **changes))


def attestation(key: bytes, name: str = "report", at: ShardRound = AT) -> Statement[Attestation]:
    return ROUND.sign(key, Attestation(at, digest("test-report", name.encode())))


def dispute(detail: str = "") -> Dispute:
    return Dispute(AT, ROUND.header.digest, "score", CAROL, 5, detail)


def two_faced(key: bytes, at: ShardRound = AT) -> Evidence:
    return equivocation(attestation(key, "one", at), attestation(key, "other", at))


def certificate(**changes: object) -> Certificate:
    return changed(ROUND.certificate.body, **changes)  # type: ignore[no-any-return]


def certificate_of(*keys: bytes) -> Certificate:
    vote = Attestation(AT, ROUND.header.digest)
    return make_certificate(AT, ROUND.header.digest, [ROUND.sign(key, vote) for key in keys])


VOTES = ROUND.certificate.body.attestations
COMMITS = ROUND.locks[0].body.commits
FEWEST, MOST = views_bounds(PARAMETERS, 3)
VIEW_BYTES_MAX = TEXT.item_bytes_max + VIEW_OVERHEAD_BYTES
AT_LAST = shard_round(GENESIS, PARAMETERS.chain_length, 0)
HONEST = {statement.data for statement in ROUND.said}
ACCEPTED = {
    "bob disputes": sign(BOB, dispute()),
    "bob shows that alice said two things": sign(BOB, two_faced(ALICE)),
    "carol, an encoder, shows that alice said two things": sign(CAROL, two_faced(ALICE)),
    "alice is shown her own evidence": sign(ALICE, two_faced(ALICE)),
    "bob announces the certificate": sign(BOB, certificate()),
    "alice deals the most views": wave_changed(3, views=MOST, size_bytes=0),
    "alice deals the fewest views": wave_changed(3, views=FEWEST, size_bytes=0),
    "alice deals the largest views": wave_changed(3, views=MOST, size_bytes=MOST * VIEW_BYTES_MAX),
    "alice locks as few encoders as a round needs": lock(commits=COMMITS[: PARAMETERS.encoders_min]),
    "bob attests to a report nobody has seen yet": attestation(BOB, "unheard of").data,
}
