"""Shows what the gates of the scoring rule are tuned on: `python benchmarks/tune_ramps.py --seeds 2`.

Every attack of the zoo in every setting, on the split `tune` and no other: for each gated term, where honest
encoders lie and where those attackers lie who are live at all. A gate must be open over all of the first, and
should be shut over as much of the second as it can. What a term cannot tell apart is seen here too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.bench.adversaries import ATTACKS
from node.bench.scene import joined
from node.bench.shards import Setting, Shard, default_settings, embedded_for, shard_of, tensors
from node.bench.texts import Split
from node.bench.views import default_cache_dir
from scoring import GATED_TERMS, HARDENED, Ramp, score_shard

ITEMS = 128
SHORT = dict(zip(GATED_TERMS, ("R", "LOF", "MS", "IN", "L"), strict=True))
HONEST_QUANTILES = (0.0, 0.01, 0.05, 0.5, 0.95, 0.99, 1.0)
ATTACKER_QUANTILES = (0.0, 0.5, 1.0)
TESTNET = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
"""What a local network runs; each twice, as it comes to with eight encoders."""


@dataclass(frozen=True)
class Outcome:
    """One attack on one shard, by the rule as it stands."""

    attack: str
    setting: str
    attackers: int
    """The first rows are theirs."""
    terms: dict[str, Tensor]
    score: Tensor
    captured: float

    def of(self, term: str, *, attackers: bool) -> Tensor:
        """The term's values of the live attackers or of the live honest encoders."""
        rows = slice(None, self.attackers) if attackers else slice(self.attackers, None)
        return self.terms[term][rows][self.terms["live"][rows] > 0]


def outcomes(seeds: int, attacks: Sequence[str], cache_dir: Path) -> Iterator[Outcome]:
    """Every attack in every setting, and nobody attacking in the local network's."""
    settings = default_settings()
    for seed in range(seeds):
        embedded = embedded_for(settings, Split.TUNE, ITEMS, seed, cache_dir)
        shards = {setting.name: shard_of(setting, embedded, seed) for setting in settings}
        twice = Setting(tuple(name for name in TESTNET for _ in range(2)), 2)
        shards["testnet, 2 of 8"] = shard_of(twice, embedded, seed)
        for name, shard in shards.items():
            yield outcome("none", name, shard, seed)
            for attack in attacks:
                yield outcome(attack, name, shard, seed)


def outcome(attack: str, setting: str, shard: Shard, seed: int) -> Outcome:
    """Score one shard with the attackers' answers, or with everybody's honest ones."""
    scene = shard.scene(seed)
    attacking = scene.own.encoders([]) if attack == "none" else ATTACKS[attack](scene)
    honest = joined([scene.own, scene.honest]) if attack == "none" else scene.honest
    scores = score_shard(*tensors(joined([attacking, honest]), shard.share))
    count = len(attacking)
    return Outcome(attack, setting, count, scores.terms, scores.score, float(scores.weight[:count].sum()))


def quantiles(values: Tensor, at: Sequence[float]) -> list[float] | None:
    """The values at these quantiles, None where there is no value."""
    return torch.quantile(values, torch.tensor(at, dtype=values.dtype)).tolist() if len(values) else None


def opened(outcome: Outcome) -> float:
    """The share of the honest encoders' discrimination that availability and gates let through."""
    possible = outcome.terms["discrimination"][outcome.attackers :]
    return float(outcome.score[outcome.attackers :].sum() / possible.sum().clamp_min(1e-9))


def document(found: Sequence[Outcome]) -> dict[str, object]:
    """All distributions."""
    settings = list(dict.fromkeys(one.setting for one in found))
    honest = {
        setting: {
            term: quantiles(
                torch.cat([one.of(term, attackers=False) for one in found if one.setting == setting]),
                HONEST_QUANTILES,
            )
            for term in ("discrimination", *GATED_TERMS)
        }
        | {
            "score_mean": float(
                torch.cat([one.score[one.attackers :] for one in found if one.setting == setting]).mean()
            ),
            "let_through_worst": min(opened(one) for one in found if one.setting == setting),
        }
        for setting in settings
    }
    attackers = {
        attack: {
            setting: attacker_figures([o for o in found if (o.attack, o.setting) == (attack, setting)])
            for setting in settings
        }
        for attack in dict.fromkeys(one.attack for one in found)
        if attack != "none"
    }
    gates = {SHORT[term]: getattr(HARDENED, f"{term}_gate") for term in GATED_TERMS}
    return {
        "load": os.getloadavg(),
        "gates": {
            name: [gate.zero_at, gate.one_at] for name, gate in gates.items() if isinstance(gate, Ramp)
        },
        "honest": honest,
        "attackers": attackers,
    }


def attacker_figures(found: Sequence[Outcome]) -> dict[str, object]:
    """One attack in one setting over all seeds."""
    rows = sum(one.attackers for one in found)
    live = sum(float(one.terms["live"][: one.attackers].sum()) for one in found)
    return {
        "captured_worst": max(one.captured for one in found),
        "live_share": live / max(rows, 1),
        **{
            term: quantiles(torch.cat([one.of(term, attackers=True) for one in found]), ATTACKER_QUANTILES)
            for term in ("discrimination", *GATED_TERMS)
        },
    }


def lines(shown: dict[str, object]) -> Iterator[str]:
    """The document as people read it."""
    names = {"discrimination": "G", **SHORT}
    yield f"load {shown['load']}, gates {shown['gates']}"
    honest, attackers = shown["honest"], shown["attackers"]
    assert isinstance(honest, dict)
    assert isinstance(attackers, dict)
    yield f"honest, quantiles {HONEST_QUANTILES}"
    for setting, terms in honest.items():
        cells = " | ".join(f"{short} {_row(terms[term])}" for term, short in names.items())
        yield f"{setting:16s} S {terms['score_mean']:.3f} open {terms['let_through_worst']:.2f} | {cells}"
    yield f"live attackers, quantiles {ATTACKER_QUANTILES}"
    for attack, of_settings in attackers.items():
        for setting, found in of_settings.items():
            cells = " | ".join(f"{short} {_row(found[term])}" for term, short in names.items())
            yield (
                f"{attack:17s} {setting:16s} weight {found['captured_worst']:.3f} live "
                f"{found['live_share']:.2f} | {cells}"
            )


def _row(values: list[float] | None) -> str:
    return "-" if values is None else " ".join(f"{value:.2f}" for value in values)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="only this one; repeatable")
    parser.add_argument("--cache", type=Path, default=default_cache_dir(), help="keeps embeddings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    shown = document(list(outcomes(options.seeds, options.attack or list(ATTACKS), options.cache)))
    sys.stdout.write(json.dumps(shown, indent=1) + "\n" if options.json else "\n".join(lines(shown)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
