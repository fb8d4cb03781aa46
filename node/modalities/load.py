"""Items of any modality, text included, from a user's files or from what comes with the dependencies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.corpus import CorpusError, load_challenge_pool, load_corpus
from node.modalities.samples import sample_items
from node.modalities.source import OnLoading, items_of_source
from protocol.items import ItemError, canonical_text
from protocol.masks import UNITS_MIN
from protocol.modalities import IMAGE, MODALITIES, TEXT
from protocol.modalities.dense import HEADER_BYTES

Tell = Callable[[str], None]
"""Takes a sentence for the user."""


def load_items(
    modality: str, source: Path | None, *, tell: Tell | None = None, on_loading: OnLoading | None = None
) -> list[bytes]:
    """The distinct canonical items of a source, in a stable order; None stands for what ships with the node.

    `tell` is given a sentence about files of a folder that were left out, `on_loading` is called after each
    file. Raises CorpusError; ValueError for a modality that does not exist.
    """
    if modality == TEXT.name:
        return _canonical_texts(load_corpus(source))
    if source is None:
        return sample_items(modality)
    items, left_out = items_of_source(modality, source, on_loading=on_loading)
    if tell is not None and (sentence := str(left_out)):
        tell(sentence)
    return items


def load_challenge_items(
    modality: str, source: Path | None, *, tell: Tell | None = None, on_loading: OnLoading | None = None
) -> list[bytes]:
    """Those items of a source that are fit to challenge with, in a stable order.

    Text: prose of `node.corpus.CHALLENGE_WORDS_MIN` words. Others: items of at least UNITS_MIN units that are
    not one value throughout. Raises CorpusError, also when nothing is left; ValueError as `load_items`.
    """
    if modality == TEXT.name:
        return _canonical_texts(load_challenge_pool(source))
    items = load_items(modality, source, tell=tell, on_loading=on_loading)
    fit = [item for item in items if _is_fit(modality, item)]
    if not fit:
        raise CorpusError(
            f"{source or 'The sample'} holds no {modality} of {UNITS_MIN} units to challenge with: "
            "add longer or larger ones."
        )
    if tell is not None and len(fit) < len(items):
        tell(f"Left out {len(items) - len(fit):,} items too small or too even to challenge with.")
    return fit


def _canonical_texts(texts: list[str]) -> list[bytes]:
    found: dict[bytes, None] = {}
    for text in texts:
        try:
            found[canonical_text(text)] = None
        except ItemError:
            # Nothing but control characters: no word of it is lost.
            continue
    return list(found)


def _is_fit(modality: str, item: bytes) -> bool:
    known = MODALITIES[modality]
    if len(known.unit_sizes(item)) < UNITS_MIN:
        return False
    # Sounds and series that are even are left out of the items already.
    if known is IMAGE:
        pixel = item[HEADER_BYTES : HEADER_BYTES + IMAGE.cell_bytes]
        return item[HEADER_BYTES:] != pixel * ((len(item) - HEADER_BYTES) // len(pixel))
    return len(set(item)) > 1
