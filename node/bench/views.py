"""A split's items as several encoders answer them: full views, masks and inverses, kept on disk."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.bench.encoders import alignment_key, bench_encoder, native_encoder
from node.bench.errors import BenchError
from node.bench.texts import Split, split_texts
from node.encoders import DIMENSIONS
from node.encoders.alignment import Alignment
from protocol.masks import Mask, masks_of
from protocol.modalities import TEXT, Units

CACHE_BYTES_MAX: Final = 6 << 30
"""The newest answers are kept up to this size."""
_SCHEME: Final = "deltamesh bench views 1"
_NATIVE_SCHEME: Final = "deltamesh bench native views 1"
_PREFIX, _SUFFIX = "answers-", ".npy"


@dataclass(frozen=True)
class Embedded:
    """What `score_shard` takes, and what it was made from."""

    names: tuple[str, ...]
    """[N] of the encoders."""
    texts: tuple[str, ...]
    """[I]."""
    full: NDArray[np.float32]
    """[N, I, D], unit rows."""
    mask: NDArray[np.float32]
    """[N, I, K, D], unit rows."""
    inverse: NDArray[np.float32]
    """[N, I, K, D], unit rows."""
    share: NDArray[np.float32]
    """[I, K]: the mask's share of its item's bytes."""

    def encoders(self, names: Sequence[str]) -> Embedded:
        """The same items as some of the encoders answer them, in this order."""
        rows = [self.names.index(name) for name in names]
        return Embedded(
            tuple(names), self.texts, self.full[rows], self.mask[rows], self.inverse[rows], self.share
        )


def default_cache_dir() -> Path:
    """`deltamesh/bench` in the user's cache folder."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path("~/.cache").expanduser()
    return base / "deltamesh" / "bench"


@dataclass(frozen=True)
class DrawnItems:
    """Texts of a split with their masks, before anybody answers."""

    texts: tuple[str, ...]
    """[I]."""
    parts: tuple[str, ...]
    """[I K]: what the masks keep, item by item."""
    inverses: tuple[str, ...]
    """[I K]: what they leave, in the same order."""
    share: NDArray[np.float32]
    """[I, K]: the mask's share of its item's bytes."""
    masks: tuple[tuple[Mask, ...], ...]
    """[I][K]."""


def draw_items(split: Split, items: int, masks: int, seed: int) -> DrawnItems:
    """Draw `items` texts of a split by the seed, with `masks` masks each. Raises BenchError for too many."""
    known = split_texts(split)
    if not 1 <= items <= len(known) or masks < 1:
        raise BenchError(
            f"{items} items with {masks} masks of the split `{split.value}`: it has {len(known)} items, and "
            "each needs a mask, so ask for 1 of each or more and not for more items than there are."
        )
    secret = blake3(f"{_SCHEME} {seed}".encode()).digest()
    texts = tuple(sorted(known, key=lambda text: blake3(secret + text.encode()).digest())[:items])
    units = [Units.of(TEXT, text.encode()) for text in texts]
    drawn = [(text, masks_of(secret, text, masks)) for text in units]
    share = np.array([[mask.share_ppm(text) / 1e6 for mask in of_text] for text, of_text in drawn])
    return DrawnItems(
        texts,
        tuple(mask.part(text).decode() for text, of_text in drawn for mask in of_text),
        tuple(mask.inverse(text).decode() for text, of_text in drawn for mask in of_text),
        share.astype(np.float32),
        tuple(of_text for _, of_text in drawn),
    )


def embed_split(
    split: Split,
    encoders: Sequence[str],
    items: int,
    masks: int,
    seed: int,
    cache_dir: Path,
    *,
    alignment: Alignment = Alignment.PROCRUSTES,
) -> Embedded:
    """Answers of the named encoders to `items` texts of a split, drawn by the seed, with K = `masks` masks.

    Each encoder's answers are a file of its own in `cache_dir`, named by a digest of all they depend on; what
    is missing is computed, with a progress bar. Raises BenchError for more items than the split has.
    """
    drawn = draw_items(split, items, masks, seed)
    views = [*drawn.texts, *drawn.parts, *drawn.inverses]
    rows = answers_to(views, encoders, cache_dir, alignment)  # [N, I (1 + 2K), D]
    parts = items * masks
    shape = (len(encoders), items, masks, DIMENSIONS)
    return Embedded(
        tuple(encoders),
        drawn.texts,
        rows[:, :items],
        rows[:, items : items + parts].reshape(shape),
        rows[:, items + parts :].reshape(shape),
        drawn.share,
    )


def answers_to(
    views: Sequence[str],
    encoders: Sequence[str],
    cache_dir: Path,
    alignment: Alignment = Alignment.PROCRUSTES,
) -> NDArray[np.float32]:
    """Answers [N, V, D] of the named encoders to any views, from the cache where they are kept."""
    from rich.console import Console
    from rich.progress import Progress

    rows = np.empty((len(encoders), len(views), DIMENSIONS), dtype=np.float32)
    asked = blake3(repr((_SCHEME, tuple(views))).encode()).digest()
    cache_dir.mkdir(parents=True, exist_ok=True)
    shown = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as bars:
        task = bars.add_task("embedding", total=len(encoders))
        for row, name in zip(rows, encoders, strict=True):
            bars.update(task, description=f"embedding: {name}")
            path = _place(cache_dir, asked, alignment_key(name, alignment))
            found = _stored(path, row.shape)
            if found is None:
                found = bench_encoder(name, cache_dir, alignment).encode(views)
                _store(path, found)
            row[:] = found
            bars.advance(task)
    _drop_oldest(cache_dir)
    return rows


def native_answers(views: Sequence[str], name: str, cache_dir: Path) -> NDArray[np.float32]:
    """One encoder's vectors [V, d] of any views in its own space, from the cache where they are kept."""
    native = native_encoder(name)
    asked = blake3(repr((_NATIVE_SCHEME, tuple(views))).encode()).digest()
    cache_dir.mkdir(parents=True, exist_ok=True)
    path = _place(cache_dir, asked, blake3(name.encode() + native.fingerprint()).digest())
    found = _stored(path, (len(views), native.dimensions))
    if found is None:
        found = native.embed(views)
        _store(path, found)
        _drop_oldest(cache_dir)
    return found


def _place(cache_dir: Path, asked: bytes, answered: bytes) -> Path:
    return cache_dir / f"{_PREFIX}{blake3(asked + answered).hexdigest()[:32]}{_SUFFIX}"


def _stored(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """The rows of a file; None where it is missing or damaged: they are then computed again."""
    try:
        with path.open("rb") as file:
            rows = np.load(file, allow_pickle=False)
        os.utime(path)
    except (OSError, ValueError, EOFError):
        return None
    sound = rows.shape == shape and rows.dtype == np.float32
    return rows if sound else None


def _store(path: Path, rows: NDArray[np.float32]) -> None:
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{_PREFIX}", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, rows)
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def _drop_oldest(cache_dir: Path) -> None:
    """Delete the files used longest ago until the rest is within the bound."""
    stored = [(path.stat(), path) for path in cache_dir.glob(f"{_PREFIX}*{_SUFFIX}")]
    kept_bytes = 0
    for status, path in sorted(stored, key=lambda pair: -pair[0].st_mtime_ns):
        kept_bytes += status.st_size
        if kept_bytes > CACHE_BYTES_MAX:
            path.unlink(missing_ok=True)
