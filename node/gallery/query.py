"""The k nearest items of a gallery for a probe: a whole query, as the command line and an API ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from node.gallery.backend import Method, SearchedItems, Shortlist
from node.gallery.cache import Cache
from node.gallery.entries import StoredItem
from node.gallery.errors import GalleryError, NothingSelectedError
from node.gallery.exact import COSINE_MAX, DamagedVectorsError, nearest, ranked
from node.gallery.index import opened_index
from node.gallery.items_table import EVERYTHING, Selection
from node.gallery.limits import INDEX_ROWS_MIN, NEIGHBOURS_MAX
from node.gallery.placed import Placed, forget_placed, placed_vectors
from node.gallery.probes import LoadModel, Probe, Term, make_probe, probe_of_vector
from node.gallery.signs import opened_signs
from node.gallery.spaces import GallerySpace, Kind, NodeSpaces, choose_space, is_centred
from node.gallery.transform import Affine, affine_of
from node.space import NEWEST

DISTINCT_CANDIDATES: Final = 8
"""Candidates looked at for each neighbour asked, where near-copies of better ones are left out."""

OnWork = Callable[[str, int, int], None]
"""Told (what: placing or indexing, done, all)."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked."""

    terms: tuple[Term, ...]
    k: int = 10
    selection: Selection = EVERYTHING
    """Which items may be answers."""
    space: str = NEWEST
    with_probe: bool = False
    """Whether items the probe is made of may be answers."""
    distinct: float | None = None
    """Leave out an item whose cosine with a better answer is above this."""
    exact: bool = False
    """Use no index."""
    vector: bytes | None = None
    """Instead of terms: a probe of 1024 float32, little endian, that lies in the space already."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One answer."""

    item: StoredItem
    score: float
    """Cosine with the probe, in the answer's space."""
    collections: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The neighbours, best first, and where and how they were found."""

    space: str
    method: Method
    recall: float | None
    """Of the index, measured when it was built."""
    searched: int
    """Items that could have been answers."""
    probe: Probe
    neighbours: tuple[Neighbour, ...]

    @property
    def is_consensus(self) -> bool:
        """Whether the probe is made of consensus embeddings alone."""
        return bool(self.probe.terms) and not self.probe.models

    def document(self) -> Mapping[str, Any]:
        """For JSON."""
        return {
            "space": self.space,
            "method": self.method.value,
            "recall": self.recall,
            "searched": self.searched,
            "probe": [
                {
                    "text": term.text,
                    "sign": term.sign,
                    "item_id": None if term.item is None else term.item.item_id.hex(),
                    "model": term.model,
                }
                for term in self.probe.terms
            ],
            "consensus": self.is_consensus,
            "neighbours": [
                {
                    "item_id": one.item.item_id.hex(),
                    "score": one.score,
                    "preview": one.item.preview,
                    "round": one.item.round,
                    "shard": one.item.shard,
                    "source": one.item.source,
                    "origin": one.item.origin.value,
                    "certified": one.item.origin.certified,
                    "collections": list(one.collections),
                }
                for one in self.neighbours
            ],
        }


def query(
    gallery: SearchedItems,
    asked: Query,
    *,
    load: LoadModel | None = None,
    node: NodeSpaces | None = None,
    on_work: OnWork | None = None,
    cache: Cache | None = None,
    index_rows_min: int = INDEX_ROWS_MIN,
    signs_rows_min: int | None = None,
) -> Answer:
    """Answer a query in one space, which the answer names.

    `cache`, kept between queries, saves reading the transform again. `load` brings the model for texts that
    are no items. The first query in a space places all vectors in it, and beyond `index_rows_min` builds an
    index: `on_work` is told how far that is. Who asks often in one process gives `signs_rows_min`: beyond so
    many vectors a shortlist by their signs is ranked, and no index is built. Raises ProbeError,
    MixedSpacesError, GalleryError, SpaceError, LearntError, GalleryStorageError, and what `load` raises.
    """
    if not 1 <= asked.k <= NEIGHBOURS_MAX:
        raise GalleryError(f"ask for 1 to {NEIGHBOURS_MAX} neighbours, not {asked.k}")
    held = Cache(gallery.path) if cache is None else cache
    kinds = _kinds(gallery, asked.selection, held)
    if not kinds:
        raise NothingSelectedError(
            f"nothing of {gallery.path} is selected: `deltamesh gallery list` says what is in it"
        )
    space = choose_space(gallery, kinds, asked.space, node)
    try:
        with held.building():
            affine = affine_of(space.fingerprint, space.moments, held)
        if asked.vector is not None:
            probe = probe_of_vector(asked.vector)
        else:
            probe = make_probe(gallery, space, affine, asked.terms, is_centred(space, kinds), load)
        by = _Chosen(Method.SIGNS, signs_rows_min) if signs_rows_min is not None else None
        if by is None and asked.selection.everything:
            by = _Chosen(Method.INDEX, index_rows_min)
        prepare = _Preparing(gallery, space, affine, held, on_work, None if asked.exact else by)
        try:
            return _answered(gallery, asked, space, probe, *prepare())
        except DamagedVectorsError:
            with held.building():
                forget_placed(space, held)
            return _answered(gallery, asked, space, probe, *prepare())
    finally:
        held.close()


def _kinds(gallery: SearchedItems, selection: Selection, cache: Cache) -> Sequence[Kind]:
    """Counting all takes as long as a search: once a generation."""
    if not selection.everything:
        return gallery.kinds(selection)
    facts = gallery.facts()
    named = (facts.gallery_id, facts.generation)
    if cache.kinds is None or cache.kinds[0] != named:
        cache.kinds = (named, gallery.kinds(selection))
    kinds: Sequence[Kind] = cache.kinds[1]
    return kinds


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What candidates are found by, where there are more vectors than `rows_min`."""

    method: Method
    rows_min: int


@dataclass(frozen=True)
class _Preparing:
    """Brings what is kept beside the gallery up to date; the cache is held only for that."""

    gallery: SearchedItems
    space: GallerySpace
    affine: Affine
    cache: Cache
    on_work: OnWork | None
    by: _Chosen | None

    def __call__(self) -> tuple[Placed, Shortlist | None]:
        with self.cache.building():
            placed = placed_vectors(
                self.gallery, self.space, self.affine, self.cache, _telling(self.on_work, "placing")
            )
            if self.by is None or len(placed.rows) <= self.by.rows_min:
                return placed, None
            if self.by.method is Method.SIGNS:
                return placed, opened_signs(placed, self.space, self.cache)
            telling = _telling(self.on_work, "indexing")
            return placed, opened_index(placed, self.space, self.cache, telling)


def _answered(
    gallery: SearchedItems,
    asked: Query,
    space: GallerySpace,
    probe: Probe,
    placed: Placed,
    shortlist: Shortlist | None,
) -> Answer:
    allowed = placed.rows >= 0
    if not asked.selection.everything:
        allowed &= placed.places(gallery.rows(asked.selection))
    if not asked.with_probe and probe.rows:
        allowed &= ~placed.places(np.fromiter(probe.rows, np.int64))
    searched = int(allowed.sum())
    wanted = min(searched, asked.k * (DISTINCT_CANDIDATES if asked.distinct is not None else 1))
    places, scores = _found(gallery, placed, probe, wanted, allowed, shortlist)
    if asked.distinct is not None:
        kept = _distinct(placed.vectors, places, asked.distinct)[: asked.k]
        places, scores = places[kept], scores[kept]
    rows = placed.rows[places].tolist()
    items, collections = gallery.items_at(rows), gallery.collections_of(rows)
    return Answer(
        space=space.name,
        method=Method.EXACT if shortlist is None else shortlist.method,
        recall=None if shortlist is None else shortlist.recall,
        searched=searched,
        probe=probe,
        # A row that another process has removed in between is no answer.
        neighbours=tuple(
            Neighbour(items[row], float(score), tuple(collections[row]))
            for row, score in zip(rows, scores, strict=True)
            if row in items
        ),
    )


def _found(
    gallery: SearchedItems,
    placed: Placed,
    probe: Probe,
    k: int,
    allowed: npt.NDArray[np.bool_],
    shortlist: Shortlist | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    def ids(places: npt.NDArray[np.int64]) -> Sequence[bytes]:
        rows = placed.rows[places].tolist()
        items = gallery.items_at(rows)
        return [items[row].item_id if row in items else b"" for row in rows]

    if shortlist is None or k == 0:
        return nearest(placed.vectors, probe.vector, k, allowed, ids)
    candidates = shortlist.candidates(probe.vector, k, allowed)
    places, scores = ranked(placed.vectors, probe.vector, min(k, len(candidates)), candidates, ids)
    if not bool((np.abs(scores) <= COSINE_MAX).all()):
        raise DamagedVectorsError("a vector is not of unit norm")
    return places, scores


def _distinct(vectors: npt.NDArray[np.float32], places: npt.NDArray[np.int64], most: float) -> list[int]:
    """Which of the places, in their order, have no cosine above `most` with one kept before."""
    kept: list[int] = []
    rows = np.asarray(vectors[places])  # [n, D]
    for place in range(len(places)):
        if not kept or float((rows[kept] @ rows[place]).max()) <= most:
            kept.append(place)
    return kept


def _telling(on_work: OnWork | None, what: str) -> Callable[[int, int], None] | None:
    if on_work is None:
        return None

    def told(done: int, total: int) -> None:
        on_work(what, done, total)

    return told
