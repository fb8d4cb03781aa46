"""The rule of scoring as data: every constant of a score, a weight and a validity decision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from torch import Tensor

from scoring.errors import ScoringError

TEMPERATURE_MIN: Final = 0.003
"""Below this, exp((cosine - 1) / temperature) underflows a float64."""
_FIRST_TEMPERATURES: Final = (0.05, 0.07, 0.1, 0.15)
"""Of the presets that networks were started with before HARDENED."""


@dataclass(frozen=True)
class Ramp:
    """A gate: 0 at `zero_at`, 1 at `one_at`, linear between, clipped outside; either end may be larger."""

    zero_at: float
    one_at: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.zero_at) and math.isfinite(self.one_at)) or self.zero_at == self.one_at:
            raise ScoringError(
                f"a ramp from {self.zero_at} to {self.one_at} has no slope: give two different finite ends"
            )

    def __call__(self, values: Tensor) -> Tensor:
        """Values of any shape -> the same shape in [0, 1]. NaN stays NaN, infinities are clipped."""
        return (values - self.zero_at).div_(self.one_at - self.zero_at).clamp_(0.0, 1.0)

    def at(self, value: float) -> float:
        """The same for one number."""
        return min(1.0, max(0.0, (value - self.zero_at) / (self.one_at - self.zero_at)))


@dataclass(frozen=True)
class ScoringRule:
    """Every constant of scoring. The defaults are those of HARDENED; a gate that is None never closes."""

    name: str = "hardened-5"

    base: Literal["discrimination", "differential_literal"] = "discrimination"
    """What a score is made of before the gates: the discrimination, or scale / (scale + literal loss)."""
    literal_scale: float = 0.002
    """The scale of the literal base: the loss at which it halves. Bounds what a loss of zero can win."""

    norm_min: float = 0.5
    norm_max: float = 2.0
    """An answer's own norm lies strictly between these, or its item counts as withheld."""
    centred_norm_min: float = 0.1
    """The least norm of a unit answer less its encoder's mean: constants stop here."""
    peer_similarity_min: float = 0.03
    """The least mean cosine, over a shard's full views, with as many others as can collude.

    With less an encoder is nobody's peer."""
    item_similarity_min: float = 0.05
    """The least majority similarity of an item's full view: noise stops here."""
    live_share_min: float = 0.75
    """An encoder with a smaller share of valid items is nobody's peer and scores zero."""
    peer_share_min: float = 0.75
    """Validity is decided again without peers of whose own items a smaller share was found valid.

    Those who answer a part of the items together would else speak on the others too."""
    encoders_min: int = 3
    """Fewer live encoders than this have no majority: every score is zero."""
    tolerance: float = 1e-4
    """How near to a threshold a validity decision is borderline, so that attesters accept the dealer's."""

    items_min: int = 64
    """Fewer scored items than this void the shard."""
    block_items: int = 128
    """Items among which a mask must find its own inverse; a remainder joins the last block."""
    block_items_min: int = 8
    """An encoder with fewer valid items in a block is not measured on that block."""
    temperatures: tuple[float, ...] = (0.05, 0.2)
    """Each encoder has the best of them: a narrow space the first, a wide one the second. In between it is
    enough to tell most items apart, which says little of who finds one among many."""

    n_neighbors: int | None = None
    """Neighbors of the local outlier factor; None is half of the live encoders, rounded down."""
    reach_floor: float = 0.75
    """The least reach distance, in median pairwise distances of the item."""
    lof_max_bytes: int = 64 << 20
    """The working memory of one chunk of the local outlier factor."""

    availability_power: float = 2.0
    differential_gate: Ramp | None = Ramp(0.5, 0.25)
    local_outlier_factor_gate: Ramp | None = Ramp(2.2, 1.85)
    majority_similarity_gate: Ramp | None = Ramp(0.06, 0.11)
    innovation_quantile: float = 0.25
    """Innovation is that of the item at this quantile: who fabricates some of the items has a good mean."""
    innovation_gate: Ramp | None = Ramp(0.15, 0.20)
    leak_gate: Ramp | None = Ramp(0.45, 0.30)

    weight_power: float = 8.0
    clone_ramp: Ramp | None = Ramp(0.78, 0.86)
    """Mean cosine between two encoders -> how far they are one; None counts every encoder as itself."""
    copy_likeness_min: float = 0.5
    """From this likeness on two encoders are of a kind for medians over the shard."""
    heard_of_a_kind: int = 2
    """As many encoders of a kind do medians hear."""
    heard_leak_max: float | None = 0.2
    """Medians are taken once more without those of more leak; who is judged better by them is judged by them.

    None judges by those that hear whom the leak gate lets through whole, and by no others."""
    weight_cap: float = 0.25
    """The largest weight of an encoder together with its near-copies (more if too few are left to share)."""

    shaping_power: float = 0.3
    """By which eigenvalues are turned down in what is published: 0 leaves all as they are, 0.5 whitens."""

    def __post_init__(self) -> None:
        if self.block_items_min < 2 or self.block_items < self.block_items_min:
            raise ScoringError(
                f"blocks of {self.block_items} with at least {self.block_items_min} items: a mask needs "
                "another item's inverse to be told from, so give 2 <= block_items_min <= block_items"
            )
        if (
            self.items_min < 2
            or self.encoders_min < 2
            or (self.n_neighbors is not None and self.n_neighbors < 1)
        ):
            raise ScoringError("items_min and encoders_min must be at least 2 and n_neighbors at least 1")
        if not self.temperatures or min(self.temperatures) < TEMPERATURE_MIN:
            raise ScoringError(f"give at least one temperature, each at least {TEMPERATURE_MIN}")
        if not (0 <= self.live_share_min <= 1 and 0 <= self.peer_share_min <= 1):
            raise ScoringError("live_share_min and peer_share_min must lie in [0, 1]: shares of items")
        if not 0 < self.copy_likeness_min <= 1 or self.heard_of_a_kind < 1:
            raise ScoringError("copy_likeness_min must lie in (0, 1] and heard_of_a_kind be at least 1")
        if self.heard_leak_max is not None and (
            self.leak_gate is None or self.heard_leak_max > self.leak_gate.one_at
        ):
            raise ScoringError(
                "heard_leak_max must not lie above where leak_gate begins to close, as medians hear nobody "
                "whose leak costs it score; without a leak_gate give None"
            )
        if not 0 <= self.innovation_quantile <= 1:
            raise ScoringError("innovation_quantile must lie in [0, 1]: 0 is the worst item, 0.5 the median")
        if not 0 < self.weight_cap <= 1 or self.tolerance < 0 or self.literal_scale <= 0:
            raise ScoringError(
                "weight_cap must lie in (0, 1], tolerance must be at least 0 and literal_scale above 0"
            )

    def neighbors(self, live_count: int) -> int:
        """Return k of the local outlier factor among `live_count` encoders: half of them unless it is set."""
        return self.n_neighbors or max(1, live_count // 2)

    def majority(self, live_count: int) -> int:
        """Return k = floor(N / 2), at least 1: attackers <= k < honest among `live_count` encoders."""
        return max(1, live_count // 2)

    def minority(self, live_count: int) -> int:
        """Return floor((N - 1) / 2), at least 1: the most that can collude and not be a majority."""
        return max(1, (live_count - 1) // 2)


HARDENED = ScoringRule()
"""The default: discrimination, gated by everything a cheat was seen to break."""

HARDENED_4 = replace(HARDENED, name="hardened-4", heard_leak_max=None)
HARDENED_3 = replace(HARDENED_4, name="hardened-3", block_items=64, shaping_power=0.25)
HARDENED_2 = replace(HARDENED_3, name="hardened-2", live_share_min=0.5, peer_share_min=0.0)
HARDENED_1 = replace(HARDENED_2, name="hardened", temperatures=_FIRST_TEMPERATURES)
"""Its predecessors, by which networks whose genesis names them are scored and audited as ever."""

LITERAL = ScoringRule(
    name="literal",
    base="differential_literal",
    temperatures=_FIRST_TEMPERATURES,
    block_items=64,
    heard_leak_max=None,
    shaping_power=0.25,
    live_share_min=0.5,
    peer_share_min=0.0,
    norm_min=-math.inf,
    norm_max=math.inf,
    centred_norm_min=-math.inf,
    peer_similarity_min=-math.inf,
    item_similarity_min=-math.inf,
    n_neighbors=20,
    reach_floor=0.0,
    local_outlier_factor_gate=Ramp(2.0, 1.5),
    availability_power=0.0,
    differential_gate=None,
    majority_similarity_gate=None,
    innovation_gate=None,
    leak_gate=None,
    weight_power=1.0,
    clone_ramp=None,
    weight_cap=1.0,
)
"""The idea as first stated: weights from ||full - mask - inverse||, 20 neighbors. Zeros win it."""

_PRESETS: Final = (HARDENED, HARDENED_4, HARDENED_3, HARDENED_2, HARDENED_1, LITERAL)
RULES: Final = MappingProxyType({rule.name: rule for rule in _PRESETS})
"""The presets that ship, by name."""


def rule_by_name(name: str) -> ScoringRule:
    """Return the preset of that name; ScoringError names the presets that exist."""
    try:
        return RULES[name]
    except KeyError:
        raise ScoringError(
            f"no scoring rule is called {name!r}: choose one of {', '.join(sorted(RULES))}"
        ) from None
