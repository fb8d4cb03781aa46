"""What a model is asked, and what its answers are worth: every metric of one model on one set of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import View
from node.evaluation.data import LabelledData, gallery_flags
from node.evaluation.fragments import Cut, gap_of, mask_of
from node.evaluation.metrics import (
    Estimate,
    Parts,
    alignment,
    clustering,
    differential_loss,
    discrimination,
    neighbour_accuracy,
    recomposition,
    retrieval,
    triplet_accuracy,
    uniformity,
)

NEIGHBOURS: Final = 5
PAIRS_MIN: Final = 16
"""Fewer pairs of fragments say nothing: such a task is left out."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Task:
    """Views that must find each other, by place among all views."""

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    items: NDArray[np.int64]
    """Whose they are."""
    share: NDArray[np.float64]
    """The query's share of its item; NaN for captions."""


@dataclass(frozen=True, slots=True)
class Exam:
    """All views a model is asked for, each once, and what they are for."""

    data: LabelledData
    seed: int
    views: tuple[View, ...]
    full: NDArray[np.int64]
    """[n] of the items."""
    mask: Task | None
    gap: Task | None
    caption: Task | None
    gallery: NDArray[np.bool_]
    """[n]: the items that are searched; the others are probes."""


def exam_of(data: LabelledData, seed: int = 0) -> Exam:
    """The questions to labelled data: the same for the same data and seed."""
    views: dict[View, int] = {}

    def place(view: View) -> int:
        return views.setdefault(view, len(views))

    full = np.array([place(item.view) for item in data.items], dtype=np.int64)

    def task(cuts: Sequence[Cut | None]) -> Task | None:
        kept = [(at, cut) for at, cut in enumerate(cuts) if cut is not None]
        if len(kept) < PAIRS_MIN:
            return None
        return Task(
            np.array([place(cut.part) for _, cut in kept]),
            np.array([place(cut.rest) for _, cut in kept]),
            np.array([at for at, _ in kept]),
            np.array([cut.share for _, cut in kept]),
        )

    captions = [None if item.caption is None else Cut(item.caption, item.view, np.nan) for item in data.items]
    mask = task([mask_of(data.modality, item.view) for item in data.items])
    gap = task([gap_of(data.modality, item.view) for item in data.items])
    caption = task(captions)
    flags = gallery_flags(data.labels, [item.group for item in data.items], seed)
    return Exam(data, seed, tuple(views), full, mask, gap, caption, flags)


def full_figures(exam: Exam, full: Rows) -> dict[str, Estimate]:
    """What answers to the full items alone say, [n, d]. By the names of `METRICS`."""
    labels, seed, gallery = np.array(exam.data.labels), exam.seed, exam.gallery
    sides = (full[gallery], labels[gallery], full[~gallery], labels[~gallery])
    clusters = clustering(full, labels, seed)
    neighbours = min(NEIGHBOURS, int(gallery.sum()))
    return {
        "nearest": neighbour_accuracy(*sides, 1, seed),
        "neighbours": neighbour_accuracy(*sides, neighbours, seed),
        "triplets": triplet_accuracy(full, labels, seed),
        "mutual_information": clusters.normalised_mutual_information,
        "rand_index": clusters.adjusted_rand_index,
        "uniformity": uniformity(full, seed),
    }


def figures_of(exam: Exam, rows: Rows) -> dict[str, Estimate]:
    """Every figure that the answers to all views of an exam have, [views, d]. By the names of `METRICS`."""
    found = full_figures(exam, rows[exam.full])
    for name, task in (("mask", exam.mask), ("gap", exam.gap), ("caption", exam.caption)):
        if task is None:
            continue
        sought = retrieval(rows[task.queries], rows[task.gallery], seed=exam.seed)
        found[f"{name}_reciprocal_rank"] = sought.mean_reciprocal_rank
        found[f"{name}_recall_1"] = sought.recall_1
        found[f"{name}_recall_10"] = sought.recall_10
    if exam.mask is not None:
        # As a network mixes what it deals: a block of neighbours would be a block of one class.
        order = np.random.default_rng(exam.seed).permutation(len(exam.mask.items))
        full = rows[exam.full[exam.mask.items[order]]]
        mask, inverse = rows[exam.mask.queries[order]], rows[exam.mask.gallery[order]]
        parts = Parts(full, mask, inverse, exam.mask.share[order])
        found["discrimination"] = discrimination(parts, exam.seed)
        found["recomposition"] = recomposition(parts, exam.seed)
        found["differential_loss"] = differential_loss(parts, exam.seed)
        found["alignment"] = alignment(mask, inverse, exam.seed)
    return {name: found[name] for name in METRICS if name in found}


@dataclass(frozen=True, slots=True)
class Metric:
    """How a figure is shown, and what it says."""

    heading: str
    better: str
    """`more` or `less`."""
    says: str


METRICS: Final[Mapping[str, Metric]] = {
    "mask_reciprocal_rank": Metric("mask MRR", "more", "a mask finds its own inverse: mean of 1 / rank"),
    "mask_recall_1": Metric("mask R@1", "more", "share of masks whose inverse comes first"),
    "mask_recall_10": Metric("mask R@10", "more", "share of masks whose inverse is among the first ten"),
    "gap_reciprocal_rank": Metric("gap MRR", "more", "what is missing finds the item with the gap"),
    "gap_recall_1": Metric("gap R@1", "more", "the same, first place"),
    "gap_recall_10": Metric("gap R@10", "more", "the same, first ten"),
    "caption_reciprocal_rank": Metric("caption MRR", "more", "a caption finds its own text"),
    "caption_recall_1": Metric("caption R@1", "more", "the same, first place"),
    "caption_recall_10": Metric("caption R@10", "more", "the same, first ten"),
    "nearest": Metric("1-NN", "more", "share of probes whose nearest gallery item is of their class"),
    "neighbours": Metric("5-NN", "more", "the same by vote of the five nearest"),
    "triplets": Metric("triplets", "more", "share of triplets whose positive is nearer than the negative"),
    "mutual_information": Metric("NMI", "more", "how far k-means finds the classes"),
    "rand_index": Metric("ARI", "more", "the same, less what chance finds"),
    "discrimination": Metric("G", "more", "discrimination of the scoring rule"),
    "recomposition": Metric("R", "less", "differential loss of the scoring rule; 1 is chance"),
    "differential_loss": Metric("||f-m-v||", "less", "literal differential loss; says nothing alone"),
    "alignment": Metric("alignment", "less", "squared distance of a mask and its inverse"),
    "uniformity": Metric("uniformity", "less", "how evenly the space is used; -4 at best"),
}
"""By name, in the order they are shown."""
