"""How long a gallery takes to fill and to search, exactly and by index: `python -m benchmarks.gallery`.

Vectors are made like consensus ones: windows of 12 words of the standard library's documentation, embedded by
wordllama-256, lifted to 1024 dimensions, with noise in all of them, at norm .8; searched in a space learnt
from 16,384 of them. One thread.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from node.encoders import load_encoder
from node.gallery import Entry, Gallery, Origin, Query, Term, query
from node.gallery.cache import Cache
from node.gallery.items_table import EVERYTHING
from node.gallery.limits import DIMENSIONS
from protocol.codec import encode
from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group
from protocol.items import canonical_text, item_id

WORDS, STRIDE = 12, 1
EPOCH = 9
MOMENT_ROWS = 16_384
NOISE = 0.3
EMBED_TEXTS = 4_096
ADD_ROWS = 2_048
PROBES = 200


def texts(count: int) -> list[str]:
    """Distinct windows of words."""
    found: dict[str, None] = {}
    for document in _documents():
        words = document.split()
        for start in range(0, len(words) - WORDS + 1, STRIDE):
            found[" ".join(words[start : start + WORDS])] = None
            if len(found) == count:
                return list(found)
    raise SystemExit(f"the documentation of this Python makes only {len(found):,} texts: ask for fewer")


def _documents() -> Iterator[str]:
    from pydoc_data.topics import topics

    yield from topics.values()
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


def vectors(items: list[str]) -> npt.NDArray[np.float32]:
    """[n, 1024] like consensus vectors, centred."""
    encoder = load_encoder("wordllama-256")
    draw = np.random.default_rng(1)
    rows = np.empty((len(items), DIMENSIONS), np.float32)
    for start in range(0, len(items), EMBED_TEXTS):
        part = encoder.encode(items[start : start + EMBED_TEXTS])
        noise = draw.normal(size=part.shape).astype(np.float32) / np.sqrt(DIMENSIONS)
        rows[start : start + len(part)] = part + NOISE * noise
    rows -= rows.mean(axis=0)
    rows *= 0.8 / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def moments(rows: npt.NDArray[np.float32]) -> bytes:
    """Canonical moments of some vectors."""
    steps = np.round(rows[:MOMENT_ROWS].astype(np.float64) * STEPS_PER_UNIT)
    products = (steps.T @ steps)[np.triu_indices(DIMENSIONS)].astype("<i8").tobytes()
    group = Group(len(steps), steps.sum(axis=0).astype("<i8").tobytes())
    return encode(ConsensusMoments(group, Group(0, b""), products))


def timed_queries(gallery: Gallery, items: list[str], repeat: int, *, exact: bool) -> list[float]:
    """Milliseconds of whole queries by items, after one that warms up."""
    times, cache = [], Cache(gallery.path)
    for place in range(repeat + 1):
        asked = Query((Term(items[place * 7]),), exact=exact)
        began = perf_counter()
        query(gallery, asked, cache=cache, index_rows_min=0)
        times.append(1_000 * (perf_counter() - began))
    return times[1:]


def fill(gallery: Gallery, items: list[str], rows: npt.NDArray[np.float32]) -> float:
    """Add all; microseconds an item."""
    began = perf_counter()
    for start in range(0, len(items), ADD_ROWS):
        gallery.add(
            "all",
            [
                Entry(
                    item_id(canonical_text(text)),
                    Origin.STORE,
                    "a" * 64,
                    0,
                    0,
                    EPOCH,
                    None,
                    text,
                    row.tobytes(),
                )
                for text, row in zip(
                    items[start : start + ADD_ROWS], rows[start : start + ADD_ROWS], strict=True
                )
            ],
        )
    return 1e6 * (perf_counter() - began) / len(items)


def measured(
    size: int, items: list[str], rows: npt.NDArray[np.float32], learnt: bytes, repeat: int, index: bool
) -> dict[str, object]:
    """All figures of one size."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(Path(folder) / "g.sqlite", create=True) as gallery,
    ):
        gallery.bind(bytes(32), "text")
        gallery.make_collection("all", items_max=size, source_items_max=size)
        gallery.learn_epochs({EPOCH: True})
        gallery.learn_space(EPOCH, learnt)
        found: dict[str, object] = {"items": size, "load": os.getloadavg()[0]}
        found["add_us_per_item"] = fill(gallery, items[:size], rows[:size])
        began = perf_counter()
        query(gallery, Query((Term(items[0]),), exact=True))
        found["first_query_s"] = perf_counter() - began
        found["exact_ms"] = median(timed_queries(gallery, items, repeat, exact=True))
        found["gallery_bytes"] = sum(
            path.stat().st_size for path in Path(folder).glob("g.sqlite*") if path.is_file()
        )
        if index:
            began = perf_counter()
            answer = query(gallery, Query((Term(items[0]),)), index_rows_min=0)
            found["index_build_s"] = perf_counter() - began
            found["index_recall_measured_at_build"] = answer.recall
            found["method"] = answer.method.value
            found["index_ms"] = median(timed_queries(gallery, items, repeat, exact=False))
            found["recall_at_10"] = recall(gallery, items[:size])
            files = Cache(gallery.path).folder.glob("*.index")
            found["index_bytes"] = sum(path.stat().st_size for path in files)
        assert gallery.count(EVERYTHING) == size
        found["load_after"] = os.getloadavg()[0]
        return found


def recall(gallery: Gallery, items: list[str]) -> float:
    """Share of the exact ten nearest that the index finds too."""
    hits = total = 0
    for place in range(0, len(items), len(items) // PROBES):
        asked = (Term(items[place]),)
        truth = {one.item.row for one in query(gallery, Query(asked, exact=True)).neighbours}
        seen = {one.item.row for one in query(gallery, Query(asked), index_rows_min=0).neighbours}
        hits, total = hits + len(truth & seen), total + len(truth)
    return hits / total


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--index-size", type=int, default=200_000, help="0 for none")
    parser.add_argument("--repeat", type=int, default=21)
    options = parser.parse_args()
    items = texts(max(*options.sizes, options.index_size))
    rows = vectors(items)
    order = np.random.default_rng(2).permutation(len(items))
    items, rows = [items[place] for place in order], rows[order]
    learnt = moments(rows)
    for size in sorted({*options.sizes, options.index_size} - {0}):
        found = measured(size, items, rows, learnt, options.repeat, size == options.index_size)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
