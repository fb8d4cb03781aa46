"""What a search is for: items of the gallery, texts embedded here, or a sum of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from node.encoders.encoder import View
from node.gallery.backend import SearchedItems
from node.gallery.entries import StoredItem
from node.gallery.errors import ProbeError
from node.gallery.items_table import EVERYTHING
from node.gallery.limits import DIMENSIONS, TERMS_MAX, VECTOR_BYTES
from node.gallery.spaces import GallerySpace, unit
from node.gallery.transform import Affine
from protocol.items import ItemError, canonical_text, item_id
from protocol.modalities import TEXT

ITEM_PREFIX: Final = "id:"
"""Before the id of an item, among words and texts."""
ID_DIGITS_MIN: Final = 4
MEAN_VIEWS: Final = 256
"""On the mean of so many a local model's answers are centred."""
MEAN_TEXTS_MIN: Final = 16
_SHORT: Final = 1e-6
_TINY: Final = 1e-30
"""A vector given as one may have any length but this."""


class LocalModel(Protocol):
    """An encoder that runs here: its vectors are nobody's but its own."""

    @property
    def name(self) -> str:
        """The name it is loaded by."""

    def encode(self, views: Sequence[View]) -> npt.NDArray[np.float32]:
        """[n, D] float32 in the shared space, at unit norm."""


LoadModel = Callable[[], LocalModel]
"""Called when a text is no item of the gallery: loading takes a second and more."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a probe, added or taken away.

    A text, `id:` and the beginning of an item's id, or the canonical bytes of an item that is no text.
    """

    content: View
    sign: int = 1

    @property
    def shown(self) -> str:
        """As it is called in answers and errors."""
        return self.content if isinstance(self.content, str) else f"{len(self.content):,} bytes"


@dataclass(frozen=True, slots=True)
class FoundTerm:
    """What a term turned out to be."""

    text: str
    sign: int
    item: StoredItem | None
    """None: embedded here by `model`."""
    model: str | None


@dataclass(frozen=True)
class Probe:
    """A unit vector of one space, and what it is made of."""

    vector: npt.NDArray[np.float32]  # [D]
    terms: tuple[FoundTerm, ...]

    @property
    def rows(self) -> frozenset[int]:
        """Rows of the items in it: nobody asks for them as an answer."""
        return frozenset(term.item.row for term in self.terms if term.item is not None)

    @property
    def models(self) -> tuple[str, ...]:
        """Local models that made some of it: it is no consensus embedding then."""
        return tuple(sorted({term.model for term in self.terms if term.model is not None}))


def find_item(gallery: SearchedItems, content: View) -> StoredItem | None:
    """The item a term names: by `id:` and the beginning of its id, or by its very text or bytes.

    Raises ProbeError for an id that no item has, or several.
    """
    if isinstance(content, bytes):
        return gallery.item(item_id(content))
    if content.startswith(ITEM_PREFIX):
        return item_by_id(gallery, content.removeprefix(ITEM_PREFIX))
    try:
        return gallery.item(item_id(canonical_text(content)))
    except ItemError as error:
        raise ProbeError(f"'{content[:40]}' cannot be embedded: {error}") from None


def item_by_id(gallery: SearchedItems, prefix: str) -> StoredItem:
    """The item whose id begins so. Raises ProbeError where there is none, or more than one."""
    digits = prefix.lower()
    if not ID_DIGITS_MIN <= len(digits) <= 64 or not set(digits) <= set("0123456789abcdef"):
        raise ProbeError(
            f"'{prefix[:80]}' is no item id: give {ID_DIGITS_MIN} to 64 hexadecimal digits, as "
            "`deltamesh gallery query` prints them"
        )
    found = gallery.items_beginning(digits)
    if not found:
        raise ProbeError(
            f"no item of {gallery.path} has an id that begins with {digits}: add it, or probe by text"
        )
    if len(found) > 1:
        raise ProbeError(f"several items begin with {digits}: give more digits")
    return found[0]


def split_terms(gallery: SearchedItems, plus: Sequence[str], minus: Sequence[str]) -> tuple[Term, ...]:
    """Terms of options such as `king,woman`: cut at commas, unless the whole is an item's very text."""
    terms = []
    for options, sign in ((plus, 1), (minus, -1)):
        for option in options:
            whole = option.strip() and not option.startswith(ITEM_PREFIX)
            if whole and find_item(gallery, option) is not None:
                terms.append(Term(option, sign))
            else:
                terms += [Term(part.strip(), sign) for part in option.split(",") if part.strip()]
    return tuple(terms)


def make_probe(
    gallery: SearchedItems,
    space: GallerySpace,
    affine: Affine,
    terms: Sequence[Term],
    centred: bool,
    load: LoadModel | None,
) -> Probe:
    """hat(sum of sign x hat(vector)) over the terms, all in one space.

    An item of the gallery brings its consensus embedding, any other text what a local model makes of it,
    `centred` as the vectors it is compared with are.
    Raises ProbeError.
    """
    if not 1 <= len(terms) <= TERMS_MAX:
        raise ProbeError(f"a probe is made of 1 to {TERMS_MAX} words or texts, not {len(terms)}")
    items = [find_item(gallery, term.content) for term in terms]
    vectors = _stored(gallery, space, affine, items)
    unknown = [place for place, item in enumerate(items) if item is None]
    model = None
    if unknown:
        views = [_view(gallery, terms[place].content) for place in unknown]
        if load is None:
            raise ProbeError(
                f"'{terms[unknown[0]].shown[:60]}' is no item of {gallery.path}: say with --model what "
                "embeds it here, or "
                "probe by "
                "an item"
            )
        if not space.takes_raw:
            raise ProbeError(
                f"a new text cannot be brought into space {space.name}: its transform is not known here; add "
                "from a node that has it, or probe by an item"
            )
        model = load()
        for place, vector in zip(
            unknown, _embedded(gallery, space, affine, model, views, centred), strict=True
        ):
            vectors[place] = vector
    for place, term in enumerate(terms):
        if not vectors[place].any():
            raise ProbeError(
                f"'{term.shown[:60]}' has no direction in space {space.name}: take another --space"
            )
    signs = np.array([term.sign for term in terms], np.float64)
    total = signs @ vectors.astype(np.float64)  # [n] @ [n, D] -> [D]
    norm = float(np.linalg.norm(total))
    if norm < _SHORT:
        raise ProbeError(
            "what is added and what is taken away cancel: there is no direction left to search in"
        )
    found = tuple(
        FoundTerm(term.shown, term.sign, item, model.name if item is None and model is not None else None)
        for term, item in zip(terms, items, strict=True)
    )
    return Probe((total / norm).astype(np.float32), found)


def probe_of_vector(vector: bytes) -> Probe:
    """A probe of 1024 float32, little endian, at unit norm. Raises ProbeError."""
    if len(vector) != VECTOR_BYTES:
        raise ProbeError(f"a vector has {DIMENSIONS} float32, {VECTOR_BYTES} bytes, not {len(vector)} bytes")
    # In float64: the squares of the largest float32 would not fit.
    row = np.frombuffer(vector, "<f4").astype(np.float64)
    norm = float(np.linalg.norm(row))
    if not _TINY < norm < np.inf:
        raise ProbeError("the vector has no direction: it is zero, or not of finite numbers")
    return Probe((row / norm).astype(np.float32), ())


def _view(gallery: SearchedItems, content: View) -> View:
    """What a model is asked. Raises ProbeError for a text where items are none."""
    modality = gallery.facts().modality
    if isinstance(content, bytes):
        return content
    if modality != TEXT.name:
        raise ProbeError(
            f"the items of {gallery.path} are {modality}, and '{content[:40]}' is text: probe by --item or "
            "--file"
        )
    return canonical_text(content).decode()


def _stored(
    gallery: SearchedItems, space: GallerySpace, affine: Affine, items: Sequence[StoredItem | None]
) -> npt.NDArray[np.float32]:
    """[n, D] of the items that are there, at unit norm; zeros for the others."""
    rows = sorted({item.row for item in items if item is not None})
    part = gallery.vector_rows(rows)
    by_row = dict(zip(part.rows.tolist(), space.place(part, affine), strict=True)) if rows else {}
    nothing = np.zeros(part.vectors.shape[1], np.float32)
    return np.stack([nothing if item is None else by_row.get(item.row, nothing) for item in items])


def _embedded(
    gallery: SearchedItems,
    space: GallerySpace,
    affine: Affine,
    model: LocalModel,
    views: Sequence[View],
    centred: bool,
) -> npt.NDArray[np.float32]:
    """[n, D] of texts in the space, at unit norm, by a local model.

    Centred, they are so on the model's own mean over texts of the gallery, or other samples of its modality.
    """
    answers = unit(model.encode(views))
    if centred:
        answers = unit((answers - unit(model.encode(_sample(gallery))).mean(axis=0)).astype(np.float32))
    return affine.apply(answers, np.full(len(answers), centred))


def _sample(gallery: SearchedItems) -> Sequence[View]:
    """What a model's mean is taken over: texts of the gallery; of others, which it lacks, what ships here."""
    modality = gallery.facts().modality or TEXT.name
    if modality != TEXT.name:
        from node.modalities import sample_items

        return sample_items(modality)[:MEAN_VIEWS]
    texts = [item.preview for item in gallery.items_of(EVERYTHING, MEAN_VIEWS)]
    if len(texts) >= MEAN_TEXTS_MIN:
        return texts
    from node.encoders.anchors import anchor_texts

    return anchor_texts()[:MEAN_VIEWS]
