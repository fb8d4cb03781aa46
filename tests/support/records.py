"""Epochs made by hand: outcomes of rounds that were never played, registrations, exits, convictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from protocol.bending import ProbeSigns
from protocol.cards import SignedCard, ValidatorCard, card_digest
from protocol.codec import encode
from protocol.epochs.agreed import votes_of
from protocol.epochs.agreement import SETTLED_ROUNDS
from protocol.epochs.checking import CertifiedOutcome, Known, check_inputs, gather_inputs
from protocol.epochs.inputs import EpochInputs
from protocol.epochs.known import Epochs
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.registration import NO_WORK, find_work
from protocol.epochs.view import Epoch
from protocol.evidence import equivocation
from protocol.hashing import digest
from protocol.messages import (
    Attestation,
    Body,
    Commit,
    EpochCertificate,
    Evidence,
    Exit,
    Precommit,
    Registration,
    StakeTransfer,
)
from protocol.schedule import ShardRound, dealer_of, shard_of, shard_round
from protocol.signatures import public_key, sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.genesis import small_network

ROUNDS = 6
SCORE_PPM = 600_000
# A genesis as all were when the vectors were made: it does not name the first mask.
GENESIS, _VALIDATORS, _ENCODERS = small_network(
    4,
    6,
    items=8,
    shard_size=5,
    epoch_rounds=ROUNDS,
    chain_length=120,
    silent_epochs_max=2,
    first_mask="spans",
)
SEEDS = {person.key: person.seed for person in (*_VALIDATORS, *_ENCODERS)}
VALIDATORS, ENCODERS = list(GENESIS.validators), list(GENESIS.encoders)
Row = tuple[bool, int, int]
"""(revealed, score ppm, weight ppm) of an encoder in a round."""

Rows = Callable[[ShardRound, bytes, bytes], Row]
"""What an encoder did, by shard-round, dealer and its key."""


def honest(_: ShardRound, __: bytes, ___: bytes) -> Row:
    """What encoders do that answer well, under any dealer."""
    return True, SCORE_PPM, 200_000


def newcomer(number: int) -> bytes:
    """The key of somebody who is no member of genesis."""
    seed = digest("newcomer", number.to_bytes(4, "big"))
    key = public_key(seed)
    SEEDS[key] = seed
    return key


def say(key: bytes, body: Body) -> Statement[Body]:
    """A statement of anybody."""
    name = statement_digest(GENESIS.network_id, key, body)
    return assemble(GENESIS.network_id, key, body, sign(SEEDS[key], name))


def registration(key: bytes, epoch: int, work: bytes | None = None) -> Statement[Registration]:
    """With enough work, unless it is given."""
    bits = GENESIS.parameters.registration_work_bits
    found = find_work(GENESIS.network_id, key, epoch, bits, 0, 1 << 16) if work is None else work
    at = shard_round(GENESIS, epoch * ROUNDS, 0)
    return say(key, Registration(at, "a model", (), found or NO_WORK))  # type: ignore[return-value]


def leaving(key: bytes, epoch: int) -> Statement[Exit]:
    """An exit made in an epoch."""
    return say(key, Exit(shard_round(GENESIS, epoch * ROUNDS, 0)))  # type: ignore[return-value]


def card(key: bytes, network_id: bytes = GENESIS.network_id, **changes: object) -> SignedCard:
    """A newcomer's, signed by itself."""
    plain = ValidatorCard(key, ("/ip4/192.0.2.9/tcp/7700",), digest("pool", key), 64, digest("tip", key))
    plain = msgspec.structs.replace(plain, **changes)
    return SignedCard(plain, sign(SEEDS[key], card_digest(network_id, plain)))


def transfer(
    giver: bytes, to: bytes, amount: int, epoch: int, *cards: SignedCard
) -> Statement[StakeTransfer]:
    """A stake transfer made in an epoch; with the card of a newcomer unless others are given."""
    shown = cards or (() if to in GENESIS.validators else (card(to),))
    at = shard_round(GENESIS, epoch * ROUNDS, 0)
    return say(giver, StakeTransfer(at, to, amount, shown))  # type: ignore[return-value]


def conviction(key: bytes, epoch: int, by: bytes = VALIDATORS[0], names: str = "ab") -> Statement[Evidence]:
    """Evidence that a member signed two things at one place."""
    at = shard_round(GENESIS, epoch * ROUNDS, 0)
    bodies: list[Body] = [
        Attestation(at, digest(name)) if key in VALIDATORS else Commit(at, 1, digest(name), digest(name))
        for name in names
    ]
    first, second = (say(key, body) for body in bodies)
    return say(by, equivocation(first, second))  # type: ignore[return-value]


def outcome(epoch: Epoch, at: ShardRound, row: Rows = honest) -> RoundOutcome:
    """A round of the dealer and the shard that were drawn."""
    dealer, shard = dealer_of(epoch, at), shard_of(epoch, at)
    rows = [row(at, dealer, key) for key in shard]
    preimage = digest("preimage", dealer, encode(at))
    return RoundOutcome(
        at,
        dealer,
        preimage,
        shard,
        tuple(shown for shown, _, _ in rows),
        tuple(score for _, score, _ in rows),
        tuple(weight for _, _, weight in rows),
        (ProbeSigns(0, 0, 0),) * len(rows),
    )


@dataclass
class Story:
    """A chain of epochs; each step is gathered, checked, and taken up."""

    epochs: Epochs = field(default_factory=lambda: Epochs(GENESIS))
    row: Rows = honest
    inputs: list[EpochInputs] = field(default_factory=list)
    outcomes: list[list[RoundOutcome]] = field(default_factory=list)
    taken: list[Epoch] = field(default_factory=list)

    @property
    def newest(self) -> Epoch:
        return self.epochs.newest

    def certified(self, skip: Iterable[int] = ()) -> list[CertifiedOutcome]:
        """The rounds that the next record takes up, but for some of the epoch."""
        number, left_out = self.newest.number - 1, set(skip)
        if number < 0:
            return []
        epoch = self.epochs.of(number)
        rounds = [shard_round(GENESIS, number * ROUNDS + n, 0) for n in range(ROUNDS) if n not in left_out]
        return [CertifiedOutcome(digest("report", encode(at)), outcome(epoch, at, self.row)) for at in rounds]

    def known(
        self,
        registrations: Sequence[Statement[Registration]] = (),
        exits: Sequence[Statement[Exit]] = (),
        evidence: Sequence[Statement[Evidence]] = (),
        skip: Iterable[int] = (),
        transfers: Sequence[Statement[StakeTransfer]] = (),
    ) -> Known:
        return Known(self.certified(skip), registrations, exits, evidence, transfers)

    def go_on(self, known: Known | None = None) -> Epoch:
        """The next epoch; asserts that whoever knows the same rounds accepts what was gathered."""
        known = self.known() if known is None else known
        inputs, epoch = gather_inputs(self.epochs, known)
        assert check_inputs(self.epochs, encode(inputs), known.rounds).digest == epoch.digest
        self.inputs.append(inputs)
        self.outcomes.append([one.outcome for one in known.rounds])
        self.epochs.add(epoch)
        self.taken.append(epoch)
        return epoch

    def states(self) -> dict[bytes, object]:
        return {state.public_key: state for state in self.newest.table.encoders}


def certificate(epoch: Epoch, *signers: bytes) -> EpochCertificate:
    """Precommits of these validators, all unless they are named."""
    at = shard_round(GENESIS, (epoch.number - 1) * ROUNDS + SETTLED_ROUNDS, 0)
    body = Precommit(at, epoch.number, epoch.digest)
    votes = votes_of(say(key, body) for key in signers or VALIDATORS)  # type: ignore[misc]
    return EpochCertificate(at, epoch.number, epoch.digest, votes)
