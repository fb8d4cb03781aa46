"""What several draws of the quality benchmark come to: means, and the worst draw beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from node.bench.networks import Network
from node.bench.quality import CONSENSUS_NAMES, RANKED_RULES, Compared


@dataclass(frozen=True)
class EncoderRow:
    """One encoder in one network, means over draws."""

    name: str
    quality: float
    quality_shaped: float
    discrimination: float
    score: dict[str, float]
    """By rule."""
    weight: float


@dataclass(frozen=True)
class Summary:
    """One network over several draws."""

    network: str
    encoders: tuple[EncoderRow, ...]
    """Best first by quality."""
    correlation: dict[str, float]
    """By rule, mean over draws of Spearman's rank correlation of score and quality."""
    correlation_worst: dict[str, float]
    figures: dict[str, float]
    """By the names of CONSENSUS_NAMES, mean over draws."""
    gain: float
    """S^8 shaped less best single shaped, mean over draws."""
    gain_worst: float

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summary(network: Network, draws: Sequence[Compared]) -> Summary:
    """Means over draws, and what the worst of them gave."""
    rules = [rule.name for rule in RANKED_RULES]
    ranked = [draw.ranked for draw in draws]
    encoders = [
        EncoderRow(
            name,
            fmean(one.quality[row].raw for one in ranked),
            fmean(one.quality[row].shaped for one in ranked),
            fmean(one.discrimination[row] for one in ranked),
            {rule: fmean(one.score[rule][row] for one in ranked) for rule in rules},
            fmean(one.weight[row] for one in ranked),
        )
        for row, name in enumerate(network.encoders)
    ]
    return Summary(
        network.name,
        tuple(sorted(encoders, key=lambda one: (-one.quality, one.name))),
        {rule: fmean(one.correlation[rule] for one in ranked) for rule in rules},
        {rule: min(one.correlation[rule] for one in ranked) for rule in rules},
        {name: fmean(draw.figures[name] for draw in draws) for name in CONSENSUS_NAMES},
        fmean(draw.gain for draw in draws),
        min(draw.gain for draw in draws),
    )
