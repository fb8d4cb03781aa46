"""Data that comes with the dependencies: canonical items of every modality but text, without a network.

For local networks, anchors and tests. All items of a modality have one shape, so that shape tells no encoder
which parts belong together. The same for one version of Python, NumPy and scikit-learn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from node.modalities.samples.part import Part
from node.modalities.samples.photos import photo_items
from node.modalities.samples.programs import program_items
from node.modalities.samples.signals import signal_items
from node.modalities.samples.sounds import sound_items


def sample_items(modality: str, *, part: Part = "items", count: int | None = None) -> list[bytes]:
    """Distinct canonical items, the first `count` of them or all, in a mixed and stable order.

    The two parts share no item and no source: "anchors" are for aligning models, "items" for challenges. All
    of "items" are over 3,000 images or bytes, 2,000 sounds or series; "anchors" are half as many. Raises
    ValueError for text, which `node.corpus` and `node.encoders.anchors` read, and for unknown modalities,
    CorpusError where the sources of the standard library are missing.
    """
    maker = _MAKERS.get(modality)
    if maker is None:
        raise ValueError(f"there are samples of {', '.join(sorted(_MAKERS))}, not of {modality!r}")
    return list(itertools.islice(_distinct(maker(part)), count))


def _distinct(items: Iterator[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for item in items:
        if item not in seen:
            seen.add(item)
            yield item


_MAKERS: Final[dict[str, Callable[[Part], Iterator[bytes]]]] = {
    "audio": sound_items,
    "bytes": program_items,
    "image": photo_items,
    "series": signal_items,
}

__all__ = ["Part", "sample_items"]
