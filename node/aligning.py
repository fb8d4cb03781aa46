"""Aligning a model by hand: fit its map, say what quality it keeps, and keep it beside the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.corpus import load_challenge_pool
from node.encoders.alignment import MINILM_RIDGE_STRENGTH, AffineMap, Alignment, fit
from node.encoders.anchor_views import anchor_views
from node.encoders.catalogue import AlignedEncoder, LiftedEncoder, load_encoder, load_native, own_way
from node.encoders.encoder import EncoderError, NativeEncoder, View
from node.encoders.own_alignment import OwnAlignment, Target, store_own_alignment
from node.encoders.refit import PAIRS_MIN, ROTATION, Way, agreement, fitted_to, held_out_of
from node.modalities import sample_items
from node.models_check import check_items, check_model, spread
from node.pairs import Pairs
from node.store.database import Access
from protocol.batch import Role, plan_batch
from protocol.items import canonical_text
from protocol.modalities import MODALITIES, TEXT

EMBEDDED_AT_ONCE: Final = 64
RETRIEVED: Final = 256
"""Items whose mask has to find its own inverse."""
PANEL_FOLDER: Final = "panel"
"""Where the maps of the built-in models beside it are kept."""

OnProgress = Callable[[str, int, int], None]
"""Told what is done, (done, all)."""


@dataclass(frozen=True, slots=True)
class AlignedModel:
    """What became of a model, by one way of fitting."""

    model: str
    reference: str
    target: str
    method: str
    strength: float | None
    """Of ridge."""
    pairs: int
    cosine: float
    """Mean over pairs not fitted on, answers and target each less their mean."""
    cosine_before: float | None
    """With the map it had."""
    retrieval_native: float
    """Mean reciprocal rank of an item's inverse for its mask, in the model's own space."""
    retrieval: float
    """The same for what it answers."""
    scores: dict[str, float]
    """Of the model and of built-in ones beside it, best first."""
    seen: int
    """Items it is scored on that are among the pairs, as in a network that challenges with what comes with
    Python: they flatter it."""
    stored: str

    @property
    def score(self) -> float:
        """Its own."""
        return self.scores[self.model]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be aligned, and to what."""

    model: str
    reference: str
    target: Target
    ways: tuple[Way, ...]
    """Those to try: the one with the best score is kept."""
    pairs: int
    """Pairs at most."""
    directory: Path
    """Of the node: its pairs."""
    maps: Path
    """Where its maps are kept."""
    threads: int = 1
    modality: str = "text"
    """What the network embeds."""


def ways_for(model: str) -> tuple[Way, ...]:
    """How a model is aligned unless somebody says how: both ways are tried where nobody has measured it."""
    measured = own_way(model)
    return (ROTATION, Way(Alignment.RIDGE, MINILM_RIDGE_STRENGTH)) if measured is None else (measured,)


def align_model(wanted: Wanted, on_progress: OnProgress) -> list[AlignedModel]:
    """Fit the model in each of the ways, best score first; that one is kept.

    Raises EncoderError, StoreError.
    """
    if wanted.model == wanted.reference:
        raise EncoderError(
            f"{wanted.model} is the network's reference: the space is its own, and it needs no alignment"
        )
    native, before, views, target = _pairs(wanted, on_progress)
    if len(views) < PAIRS_MIN:
        raise EncoderError(
            f"{len(views)} pairs are too few for {wanted.model}, {PAIRS_MIN} are needed: raise --pairs, let "
            "`deltamesh run encoder` gather more, or align it with --to reference"
        )
    rows = _embedded(native, views, "embedding pairs", on_progress)
    known = np.flatnonzero(np.isfinite(rows).all(axis=1))
    rows, target = rows[known], target[known]
    held_out = held_out_of([_item(views[place]) for place in known.tolist()])
    reference = target
    if wanted.target is Target.CONSENSUS:
        reference = LiftedEncoder(load_native(wanted.reference, modality=wanted.modality)).encode(
            [views[place] for place in known.tolist()]
        )
    if len(rows) < PAIRS_MIN:
        raise EncoderError(
            f"{wanted.model} returned no numbers for {len(views) - len(rows)} of {len(views)} items: who "
            "withholds so much is not heard"
        )
    scored, others = _items_apart(wanted.modality)
    parts = _parts(others, wanted.modality)
    own_parts = [_embedded(native, some, "embedding masks", on_progress) for some in parts]
    tried: list[tuple[AlignedModel, OwnAlignment]] = []
    for number, way in enumerate(wanted.ways):
        on_progress("scoring", number, len(wanted.ways))
        found, fitted = _fitted(wanted, way, before, rows, target, reference, held_out)
        encoder = AlignedEncoder(native, fitted, way)
        check = check_model(
            wanted.model,
            wanted.reference,
            wanted.threads,
            modality=wanted.modality,
            aligned=encoder,
            cache_dir=wanted.maps / PANEL_FOLDER,
        )
        found = replace(
            found,
            retrieval_native=_retrieval(*own_parts),
            retrieval=_retrieval(*(fitted.apply(part) for part in own_parts)),
            scores=check.scores,
            seen=len({_item(view) for view in views} & {*scored, *others}),
        )
        tried.append((found, OwnAlignment(fitted, way)))
    on_progress("scoring", len(wanted.ways), len(wanted.ways))
    tried.sort(key=lambda one: -one[0].score)
    best, own = tried[0]
    reference_model = load_native(wanted.reference, modality=wanted.modality)
    path = store_own_alignment(wanted.maps, wanted.target, native, reference_model, own)
    return [replace(best, stored=str(path)), *(found for found, _ in tried[1:])]


def _pairs(
    wanted: Wanted, on_progress: OnProgress
) -> tuple[NativeEncoder, AffineMap | None, Sequence[View], NDArray[np.float32]]:
    """The model, the map it has, and views with the vectors it is to answer them by."""
    if wanted.target is Target.REFERENCE:
        anchors = anchor_views(wanted.modality)
        every = max(1.0, len(anchors) / wanted.pairs)
        views = [anchors[int(place * every)] for place in range(min(wanted.pairs, len(anchors)))]
        target = LiftedEncoder(load_native(wanted.reference, modality=wanted.modality)).encode(views)
        native = load_native(wanted.model, wanted.threads, modality=wanted.modality)
        return native, None, views, target
    with Pairs.open(wanted.directory, access=Access.READ_ONLY) as pairs:
        items, target = pairs.newest(wanted.pairs)
    # Without a map of its own it begins with the one everybody fits.
    encoder = load_encoder(
        wanted.model,
        wanted.reference,
        modality=wanted.modality,
        cache_dir=wanted.maps,
        threads=wanted.threads,
        target=Target.CONSENSUS,
        on_anchors=lambda done, total: on_progress("embedding anchors", done, total),
    )
    if not isinstance(encoder, AlignedEncoder):
        raise EncoderError(f"{wanted.model} lies in the shared space by itself: it needs no alignment")
    return encoder.native, encoder.map, _views(items, wanted.modality), target


def _fitted(
    wanted: Wanted,
    way: Way,
    before: AffineMap | None,
    rows: NDArray[np.float32],
    target: NDArray[np.float32],
    reference: NDArray[np.float32],
    held_out: NDArray[np.bool_],
) -> tuple[AlignedModel, AffineMap]:
    """The map of all pairs but those held out, and how good it is on these; to the reference, then of all."""

    def fitted(some: NDArray[np.bool_]) -> AffineMap:
        if before is None:
            return fit(rows[some], target[some], way.how, ridge_strength=way.ridge_strength)
        return fitted_to(before, rows[some], target[some], reference[some], way)

    seen, goal = rows[held_out], target[held_out]
    if wanted.target is Target.REFERENCE:
        goal = np.asarray(goal - goal.mean(axis=0, dtype=np.float64), np.float32)
    found = AlignedModel(
        wanted.model,
        wanted.reference,
        wanted.target.value,
        way.how.value,
        way.ridge_strength if way.how is Alignment.RIDGE else None,
        len(rows),
        agreement(fitted(~held_out).apply(seen), goal),
        None if before is None else agreement(before.apply(seen), goal),
        0.0,
        0.0,
        {},
        0,
        "",
    )
    everything = held_out if wanted.target is Target.REFERENCE else np.zeros_like(held_out)
    return found, fitted(~held_out | everything)


def _embedded(
    native: NativeEncoder, views: Sequence[View], what: str, on_progress: OnProgress
) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(views), EMBEDDED_AT_ONCE):
        on_progress(what, start, len(views))
        parts.append(native.embed(views[start : start + EMBEDDED_AT_ONCE]))
    on_progress(what, len(views), len(views))
    return np.concatenate(parts)


def _item(view: View) -> bytes:
    return view.encode() if isinstance(view, str) else view


def _views(items: Sequence[bytes], modality: str) -> list[View]:
    return [item.decode() if modality == TEXT.name else item for item in items]


def _items_apart(modality: str) -> tuple[list[bytes], list[bytes]]:
    """Items that come with the dependencies: those the score is taken on, and others."""
    scored = check_items(modality)
    if modality == TEXT.name:
        held = set(scored)
        items = [canonical_text(text) for text in load_challenge_pool(None)]
        return scored, spread([item for item in items if item not in held], RETRIEVED)
    return scored, sample_items(modality, count=len(scored) + RETRIEVED)[len(scored) :]


def _parts(items: Sequence[bytes], modality: str) -> tuple[list[View], list[View]]:
    """Masks and inverses of items."""
    batch = plan_batch(bytes(32), items, (), 1, MODALITIES[modality])
    data = {(view.role, view.item): view.data for wave in batch.waves for view in wave}
    masks, inverses = (
        [data[role, place] for place in range(len(items))] for role in (Role.MASK, Role.INVERSE)
    )
    return _views(masks, modality), _views(inverses, modality)


def _retrieval(mask: NDArray[np.float32], inverse: NDArray[np.float32]) -> float:
    """Mean reciprocal rank of the own inverse by cosine, each part less its mean, as scoring does it."""
    import torch

    from node.bench.retrieval import mean_reciprocal_rank

    first, second = (torch.from_numpy(part - part.mean(axis=0)) for part in (mask, inverse))
    return mean_reciprocal_rank(first, second)
