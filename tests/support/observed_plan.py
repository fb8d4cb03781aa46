"""A local network on disk whose nodes all serve metrics, for tests that start none of them."""

from __future__ import annotations

from pathlib import Path

from node.testnet.plan import TestnetPlan, Wanted, plan_testnet


def observed_plan(folder: Path) -> TestnetPlan:
    """Two validators and four encoders below an empty folder, with a corpus just large enough."""
    corpus = folder / "texts.txt"
    corpus.write_text("\n".join(f"Line {n} of the text that challenges come from." for n in range(900)))
    return plan_testnet(folder / "net", Wanted(2, 4, 1, ("zero",), corpus, seed=3, observed=True))
