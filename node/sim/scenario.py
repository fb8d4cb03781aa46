"""A scenario: which network, which faults and who lies, all drawn from one seed unless told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from node.sim.byzantine import Lie
from node.sim.cheating import DRAWN, ZOO, Cheat
from node.sim.streams import chance, stream
from protocol.genesis import EPOCH_ROUNDS_MIN

VARIANTS = 6
SHARDS_DRAWN = (1, 1, 1, 1, 1, 1, 2, 3)
"""A shard more costs nearly as much time as the first, and two are enough to get in each other's way."""
ROUNDS_DRAWN = (*(3,) * 10, *(4,) * 4, 8, 8, 14)
"""Rounds with faults: an epoch has six, so the longer runs agree on records, and take up certified rounds."""
NEWCOMERS_DRAWN = (0, 1, 2, 4)
"""Encoders that genesis does not know, of the longer runs: half of them cheat."""
SYBILS_DRAWN = (0, 0, 0, 12)
"""More than a network of genesis has encoders."""
SUBMISSIONS_DRAWN = (0, 0, 1, 3)
JOINERS_DRAWN = (0, 1)
"""Validators that genesis does not know and one of its validators gives stake, of the longest runs."""
GIVERS_DRAWN = (0, -1, -1)
ROUNDS_WITH_JOINERS = 20
"""Stake given in the first epoch arrives with the third or fourth."""
VALIDATORS_MIN = 4
"""With fewer, no validator may be byzantine and any quorum is everyone."""
ENCODERS_MIN = 5


class ScenarioError(ValueError):
    """A network that cannot be simulated."""


@dataclass(frozen=True)
class Wishes:
    """What is told instead of drawn; None is drawn."""

    validators: int | None = None
    encoders: int | None = None
    rounds: int | None = None
    loss_percent: int | None = None
    byzantine: int | None = None
    cheaters: int | None = None
    crashes: int | None = None
    shards: int | None = None


@dataclass(frozen=True)
class Scenario:
    """Everything that is decided before the first event."""

    seed: int
    variant: int
    validators: int
    encoders: int
    shards: int
    """Dealt in each round, each by a dealer of its own."""
    rounds: int
    """Rounds with faults; quiet ones follow."""
    newcomers: int
    """Encoders that register; every other one cheats."""
    submissions: int
    """Items that users submit to honest validators, beside one to every dealer."""
    joiners: int
    """Validators that join by the stake which another gives them."""
    giver: int
    """Which validator that is, counted from the end where it is below zero: liars are the first."""
    loss_percent: int
    replay_percent: int
    reorder_percent: int
    delay_ms_max: int
    crashes: int
    partitions: int
    skewed_clocks: int
    disk_faults: int
    lies: tuple[tuple[Lie, ...], ...]
    """Of the first validators."""
    cheats: tuple[Cheat, ...]
    """Of the first encoders."""
    sybils: int
    """Keys of one owner that all register in the first epoch and cheat in their answers."""

    def facts(self) -> dict[str, str]:
        """As people read it."""
        lies = [f"v{index} {'+'.join(told)}" for index, told in enumerate(self.lies)]
        cheats = [f"e{index} {cheat}" for index, cheat in enumerate(self.cheats)]
        return {
            "seed": str(self.seed),
            "network": f"{self.validators} validators, {self.encoders} encoders, "
            f"{self.newcomers} newcomers, {self.sybils} sybils, {self.joiners} joining validators, "
            f"{self.submissions} items of users, variant {self.variant}",
            "rounds": f"{self.rounds} of {self.shards} shards with faults, then quiet ones until one is "
            "certified",
            "links": f"{self.loss_percent} % lost, {self.replay_percent} % replayed, "
            f"{self.reorder_percent} % held back, up to {self.delay_ms_max} ms",
            "faults": f"{self.crashes} crashes, {self.partitions} partitions, "
            f"{self.skewed_clocks} wrong clocks, {self.disk_faults} disk faults",
            "byzantine": ", ".join(lies) or "none",
            "cheating": ", ".join(cheats) or "none",
        }


def draw_scenario(seed: int, wishes: Wishes = Wishes()) -> Scenario:
    """The scenario of a seed. Raises ScenarioError for wishes no network can have."""
    draw = stream(seed, "scenario")
    validators = _told(wishes.validators, draw.choice((4, 4, 4, 5, 6, 7)))
    encoders = _told(wishes.encoders, draw.randint(5, 7))
    if validators < VALIDATORS_MIN or encoders < ENCODERS_MIN:
        raise ScenarioError(
            f"a simulated network has at least {VALIDATORS_MIN} validators and {ENCODERS_MIN} encoders"
        )
    # From a stream of its own: the rest of a seed's scenario is what it was when every round had one shard.
    shards = _told(wishes.shards, stream(seed, "shards").choice(SHARDS_DRAWN))
    if shards > validators:
        raise ScenarioError("each shard of a round needs a dealer of its own: lower --shards")
    rounds = _told(wishes.rounds, stream(seed, "rounds").choice(ROUNDS_DRAWN))
    joiners = stream(seed, "joiners").choice(JOINERS_DRAWN) if rounds == max(ROUNDS_DRAWN) else 0
    rounds = max(rounds, ROUNDS_WITH_JOINERS) if joiners else rounds
    byzantine = _told(wishes.byzantine, draw.randint(0, (validators - 1) // 3))
    cheaters = _told(wishes.cheaters, draw.randint(0, 2))
    if byzantine > validators or cheaters > encoders:
        raise ScenarioError("more members lie or cheat than there are: lower --byzantine or --cheaters")
    return Scenario(
        seed=seed,
        variant=draw.randrange(VARIANTS),
        validators=validators,
        encoders=encoders,
        shards=shards,
        rounds=rounds,
        newcomers=stream(seed, "newcomers").choice(NEWCOMERS_DRAWN) if rounds > EPOCH_ROUNDS_MIN else 0,
        submissions=stream(seed, "submissions").choice(SUBMISSIONS_DRAWN),
        joiners=joiners,
        giver=stream(seed, "giver").choice(GIVERS_DRAWN),
        loss_percent=_told(wishes.loss_percent, draw.choice((0, 0, 2, 5, 10, 20, 30))),
        replay_percent=draw.choice((0, 1, 5)),
        reorder_percent=draw.choice((0, 5, 20)),
        delay_ms_max=draw.choice((20, 60, 300)),
        crashes=_told(wishes.crashes, draw.choice((0, 1, 2, 4))),
        partitions=draw.choice((0, 0, 1, 2)),
        skewed_clocks=draw.choice((0, 0, 1, 2)),
        disk_faults=draw.choice((0, 0, 1, 2)),
        lies=tuple(_lies(draw) for _ in range(byzantine)),
        cheats=_cheats(seed, tuple(draw.choice(DRAWN) for _ in range(cheaters))),
        sybils=stream(seed, "sybils").choice(SYBILS_DRAWN) if rounds > EPOCH_ROUNDS_MIN else 0,
    )


def _cheats(seed: int, drawn: tuple[Cheat, ...]) -> tuple[Cheat, ...]:
    """Every third network with cheaters has one that cheats in its answers."""
    draw = stream(seed, "zoo")
    return (*drawn[:-1], draw.choice(ZOO)) if drawn and draw.randrange(3) == 0 else drawn


def _lies(draw: Random) -> tuple[Lie, ...]:
    told = [lie for lie in Lie if chance(draw, 50 if lie is Lie.EQUIVOCATE else 25)]
    return tuple(told) or (Lie.EQUIVOCATE,)


def _told(wish: int | None, drawn: int) -> int:
    return drawn if wish is None else wish


class Shape(Enum):
    """How a partition divides the network."""

    HALF = "half"
    RING = "ring"
    ONE = "one"


def separation(shape: Shape, keys: Sequence[bytes], draw: Random) -> dict[bytes, frozenset[bytes]]:
    """Whom each node can still reach."""
    order = draw.sample(list(keys), len(keys))
    match shape:
        case Shape.RING:
            count = len(order)
            return {key: frozenset({order[i - 1], order[(i + 1) % count]}) for i, key in enumerate(order)}
        case Shape.HALF:
            sides = (frozenset(order[: len(order) // 2]), frozenset(order[len(order) // 2 :]))
        case Shape.ONE:
            sides = (frozenset(order[:1]), frozenset(order[1:]))
    return {key: side for side in sides for key in side}
