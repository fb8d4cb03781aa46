"""Whether a space drifts when encoders follow their own consensus: `python benchmarks/alignment_drift.py`.

A network of built-in encoders, 8 rounds of 64 items an epoch, scored by the rule and centred on the means of
two epochs ago. After each epoch every encoder but the reference fits its map anew to the newest pairs, as
`node.encoders.refit` does in a node. Each epoch is measured on 512 texts that are never in a round: how far
the consensus has moved from the first epoch's, and how well a mask's consensus finds the inverse's.
docs/draw_drift.py draws what `--json` writes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.bench.retrieval import mean_reciprocal_rank
from node.bench.texts import Split, split_texts
from node.encoders.alignment import AffineMap, fit, lift
from node.encoders.anchors import anchor_texts
from node.encoders.catalogue import load_native, own_way
from node.encoders.encoder import DIMENSIONS, answer_rows, unit_rows
from node.encoders.refit import (
    HELD_OUT_EVERY,
    PAIRS_MIN,
    REFERENCE_SHARE,
    ROTATION,
    Way,
    agreement,
    fitted_to,
)
from protocol.batch import PPM, Role, plan_batch
from protocol.items import canonical_text
from scoring import score_shard

REFERENCE: Final = "wordllama-256"
ROUNDS, ITEMS, PAIRS_MAX = 8, 64, 4_096
LEARNT_TEXTS, HELD_OUT_TEXTS = 3_072, 512
ROLES: Final = (Role.FULL, Role.MASK, Role.INVERSE)
TURN_DEGREES: Final = 35
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Scheme:
    """Who refits, and how."""

    name: str
    refits: bool = True
    way: Way | None = None
    """None: each model's own."""
    reference_share: float = REFERENCE_SHARE
    reference_stays: bool = True
    pulls: tuple[str, ...] = ()
    """Models of further encoders that lie TURN_DEGREES off the consensus, whatever it is, to pull it away."""


PULLERS: Final = ("wordllama-256", "wordllama-128")
SCHEMES: Final = (
    Scheme("no refit", refits=False),
    Scheme("refit"),
    Scheme("pulled", reference_stays=False, pulls=PULLERS),
    Scheme("pulled, consensus alone", reference_share=0.0, reference_stays=False, pulls=PULLERS),
    Scheme("refit, consensus alone", reference_share=0.0),
    Scheme("refit by rotation", way=ROTATION),
)


@dataclass
class Model:
    """One encoder: its own vectors of everything, and the map it has now."""

    name: str
    rows: dict[str, Rows]
    way: Way
    map: AffineMap
    stays: bool
    turned: bool = False

    def answers(self, items: NDArray[np.int64]) -> list[Rows]:
        """[n, DIMENSIONS] of full views, masks and inverses."""
        return [self.map.apply(self.rows[role.value][items]) for role in ROLES]


@dataclass
class Epochs:
    """What was measured, an entry an epoch."""

    moved: list[float] = field(default_factory=list)
    """1 - mean cosine of the held-out texts' consensus to that of the first epoch."""
    retrieval: list[float] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    rank: list[float] = field(default_factory=list)
    """Participation ratio of the consensus: 1 where all vectors lie on one line. First and last epoch."""


def embedded(names: list[str], cache: Path) -> tuple[dict[str, dict[str, Rows]], Rows]:
    """Each model's own vectors of anchors and of all texts, kept in `cache`; the masks' shares."""
    texts = [*split_texts(Split.FIT)[:LEARNT_TEXTS], *split_texts(Split.TUNE)[:HELD_OUT_TEXTS]]
    items = [canonical_text(text) for text in texts]
    views: dict[str, list[str]] = {role.value: [] for role in ROLES}
    share = []
    for start in range(0, len(items), ITEMS):
        batch = plan_batch(bytes(31) + bytes([start // ITEMS]), items[start : start + ITEMS], (), 1)
        found = {
            (view.role, batch.items[view.item]): view.data.decode() for wave in batch.waves for view in wave
        }
        shares = dict(zip(batch.items, batch.mask_share_ppm, strict=True))
        for item in items[start : start + ITEMS]:
            for role in ROLES:
                views[role.value].append(found[role, item])
            share.append(shares[item][0] / PPM)
    rows = {}
    for name in names:
        path = cache / f"drift-{name}.npz"
        if not path.exists():
            print(f"embedding with {name}", file=sys.stderr)
            native = load_native(name)
            own = {role: native.embed(some) for role, some in views.items()}
            np.savez(path, anchors=native.embed(anchor_texts()), **own)
        with np.load(path) as arrays:
            rows[name] = {part: arrays[part] for part in arrays.files}
    return rows, np.array(share, np.float32)


def turned(before: AffineMap) -> AffineMap:
    """The same map, every pair of coordinates turned by TURN_DEGREES."""
    even, odd = before.matrix[:, 0::2], before.matrix[:, 1::2]
    cosine, sine = np.cos(np.deg2rad(TURN_DEGREES)), np.sin(np.deg2rad(TURN_DEGREES))
    matrix = np.empty_like(before.matrix)
    matrix[:, 0::2], matrix[:, 1::2] = cosine * even - sine * odd, sine * even + cosine * odd
    return AffineMap(before.source_mean, matrix, before.target_mean)


def network(scheme: Scheme, rows: dict[str, dict[str, Rows]]) -> list[Model]:
    """The encoders as they start: aligned to the reference on anchors."""
    target = answer_rows(rows[REFERENCE]["anchors"] @ lift(256))
    models = []
    for name in (*rows, *scheme.pulls):
        way = own_way(name)
        assert way is not None
        pulls = len(models) >= len(rows)
        if name == REFERENCE:
            first = AffineMap(np.zeros(256, np.float32), lift(256), np.zeros(DIMENSIONS, np.float32))
        else:
            first = fit(rows[name]["anchors"], target, way.how, ridge_strength=way.ridge_strength)
        stays = not scheme.refits or (name == REFERENCE and scheme.reference_stays and not pulls)
        models.append(
            Model(name, rows[name], scheme.way or way, turned(first) if pulls else first, stays, pulls)
        )
    return models


def centred(rows: Rows) -> Rows:
    """Unit rows less their mean."""
    return unit_rows(rows - rows.mean(axis=0))


def run(scheme: Scheme, rows: dict[str, dict[str, Rows]], share: Rows, epochs: int, seed: int) -> Epochs:
    """The network under a scheme."""
    chance, models, told = np.random.default_rng(seed), network(scheme, rows), Epochs()
    held_out = np.arange(LEARNT_TEXTS, LEARNT_TEXTS + HELD_OUT_TEXTS)
    recorded: list[Rows | None] = [None, None]
    pairs: dict[int, tuple[Rows, bool]] = {}
    first: Rows | None = None
    for epoch in range(epochs):
        means, drawn = recorded[epoch], chance.choice(LEARNT_TEXTS, (ROUNDS, ITEMS), replace=False)
        scores, weights, own = [], [], []
        for items in drawn:
            answers = zip(*(model.answers(items) for model in models), strict=True)
            full, mask, inverse = (torch.from_numpy(np.stack(role)) for role in answers)
            known = None if means is None else torch.from_numpy(means)
            parts = torch.from_numpy(share[items])[:, None]
            found = score_shard(full, mask[:, :, None], inverse[:, :, None], parts, means=known)
            scores.append(found.score.numpy())
            weights.append(found.weight.numpy())
            own.append(found.means.numpy())
            for item, vector in zip(items.tolist(), found.consensus.numpy(), strict=True):
                pairs.pop(item, None)
                pairs[item] = (vector, means is not None)
        recorded.append(np.mean(own, axis=0, dtype=np.float32))
        weight = np.mean(weights, axis=0)
        by_role = zip(*(model.answers(held_out) for model in models), strict=True)
        mixed = [sum(w * centred(one) for w, one in zip(weight, role, strict=True)) for role in by_role]
        full_rows = unit_rows(np.asarray(mixed[0], np.float32))
        first = full_rows if first is None else first
        told.moved.append(1 - float((full_rows * first).sum(axis=1).mean()))
        told.retrieval.append(mean_reciprocal_rank(*(torch.from_numpy(np.asarray(one)) for one in mixed[1:])))
        told.scores.append(np.mean(scores, axis=0).tolist())
        if epoch in (0, epochs - 1):
            spread = np.linalg.eigvalsh(np.cov(full_rows.T))
            told.rank.append(float(spread.sum() ** 2 / (spread**2).sum()))
        if len(pairs) >= PAIRS_MIN:
            while len(pairs) > PAIRS_MAX:
                pairs.pop(next(iter(pairs)))
            _refit(models, pairs, rows[REFERENCE]["full"], scheme.reference_share)
    return told


def _refit(
    models: list[Model], pairs: dict[int, tuple[Rows, bool]], full: Rows, reference_share: float
) -> None:
    items = np.array([*pairs], np.int64)
    vectors = np.stack([vector for vector, _ in pairs.values()])
    uncentred = np.array([not around_means for _, around_means in pairs.values()])
    if uncentred.any():
        vectors[uncentred] -= vectors[uncentred].mean(axis=0)
    reference = full[items] @ lift(256)
    fitted_on = np.arange(len(items)) % HELD_OUT_EVERY != 0
    for model in models:
        native = model.rows[Role.FULL.value][items]
        if model.turned:
            model.map = turned(fitted_to(model.map, native, vectors, reference, ROTATION, 0.0))
        elif not model.stays:
            some = native[fitted_on], vectors[fitted_on], reference[fitted_on]
            tried, seen = fitted_to(model.map, *some, model.way, reference_share), ~fitted_on
            before, after = (agreement(one.apply(native[seen]), vectors[seen]) for one in (model.map, tried))
            model.map = tried if after > before else model.map


def main() -> None:
    """Print a row a scheme; write every epoch to --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minilm", action="store_true", help="a fifth encoder; needs the extra")
    parser.add_argument("--cache", type=Path, default=Path("/tmp"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = ["wordllama-256", "wordllama-128", "wordllama-64", "ngram", *(["minilm"] if asked.minilm else [])]
    rows, share = embedded(names, asked.cache)
    found = {}
    for scheme in SCHEMES:
        told = found[scheme.name] = run(scheme, rows, share, asked.epochs, asked.seed)
        late = np.mean(told.scores[-10:], axis=0)[: len(names)]
        print(
            f"| {scheme.name} | {told.moved[-1]:.3f} | {np.mean(told.retrieval[:2]):.3f} | "
            f"{np.mean(told.retrieval[-10:]):.3f} | {told.rank[0]:.0f} -> {told.rank[-1]:.0f} | "
            f"{', '.join(f'{score:.2f}' for score in late)} |",
            flush=True,
        )
        if asked.json is not None:
            epochs = {name: {"moved": one.moved, "retrieval": one.retrieval} for name, one in found.items()}
            asked.json.write_text(json.dumps({"encoders": names, "schemes": epochs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
