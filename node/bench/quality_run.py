"""Runs the quality benchmark: draws of a split, each network in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from node.bench.networks import Network
from node.bench.quality import Compared, compare, qualities
from node.bench.quality_summary import Summary, summary
from node.bench.realigned import AlignedOn
from node.bench.sample import SIZES, Sizes, draw_sample
from node.bench.texts import Split
from scoring import HARDENED, ScoringRule


def run_quality(
    networks: Sequence[Network],
    split: Split,
    seeds: int,
    cache_dir: Path,
    sizes: Sizes = SIZES,
    rule: ScoringRule = HARDENED,
    aligned_on: AlignedOn = AlignedOn.PAST,
) -> list[Summary]:
    """Compare every network in `seeds` draws of a split. Raises BenchError where the split is too small."""
    encoders = tuple(dict.fromkeys(name for network in networks for name in network.encoders))
    draws: dict[str, list[Compared]] = {network.name: [] for network in networks}
    for seed in range(seeds):
        sample = draw_sample(split, encoders, seed, cache_dir, sizes, aligned_on)
        alone = qualities(sample)
        for network in networks:
            some = sample.encoders(network.encoders)
            draws[network.name].append(compare(some, alone, sizes.shards, seed, rule))
    return [summary(network, draws[network.name]) for network in networks]
