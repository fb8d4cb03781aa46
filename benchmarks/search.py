"""Search among 100,000 real-shaped vectors and 1,000,000 random ones: `python -m benchmarks.search`.

The real-shaped ones are those of `benchmarks.gallery`: windows of words by wordllama-256 with noise in all
dimensions, shaped by the transform that follows from 16,384 of them. The random ones have no near neighbours:
nothing is harder to index. Whole queries by a stored vector, k = 10, as the node's search process makes them,
the cache kept; exact, and by a shortlist of signs. Recall is of the exact ten nearest. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from benchmarks.gallery import EPOCH, moments, texts, vectors
from node.gallery import Entry, Gallery, Origin, Query, query
from node.gallery.cache import Cache
from node.gallery.limits import DIMENSIONS
from node.gallery.signs import STATE, SignState

CHUNK_ROWS = 4_096
Rows = npt.NDArray[np.float32]


def real(count: int) -> tuple[Callable[[], Iterator[Rows]], bytes]:
    """Chunks of rows like consensus ones, and the moments of some."""
    rows = vectors(texts(count))
    rows = rows[np.random.default_rng(2).permutation(count)]
    return lambda: (rows[start : start + CHUNK_ROWS] for start in range(0, count, CHUNK_ROWS)), moments(rows)


def random(count: int) -> tuple[Callable[[], Iterator[Rows]], bytes]:
    """Chunks of rows drawn from a normal distribution; raw, nothing learnt."""

    def chunks() -> Iterator[Rows]:
        for start in range(0, count, CHUNK_ROWS):
            draw = np.random.default_rng(start)
            rows = draw.standard_normal((min(CHUNK_ROWS, count - start), DIMENSIONS), np.float32)
            rows *= 0.8 / np.linalg.norm(rows, axis=1, keepdims=True)
            yield rows

    return chunks, b""


def fill(gallery: Gallery, chunks: Iterator[Rows], epoch: int) -> float:
    """Add all; seconds."""
    began, place = perf_counter(), 0
    for rows in chunks:
        gallery.add("all", [_entry(place + n, row, epoch) for n, row in enumerate(rows)])
        place += len(rows)
    return perf_counter() - began


def _entry(place: int, row: Rows, epoch: int) -> Entry:
    name = place.to_bytes(32, "big")
    return Entry(name, Origin.STORE, "a" * 64, 0, 0, epoch, None, f"item {place}", row.tobytes())


def asked(
    gallery: Gallery, cache: Cache, vector: bytes, signs_rows_min: int | None
) -> tuple[float, set[int], str]:
    """Milliseconds of one whole query, its rows and its method."""
    began = perf_counter()
    wanted = Query((), vector=vector, exact=signs_rows_min is None)
    answer = query(gallery, wanted, cache=cache, signs_rows_min=signs_rows_min)
    took_ms = 1_000 * (perf_counter() - began)
    return took_ms, {one.item.row for one in answer.neighbours}, answer.method.value


def measured(
    name: str,
    count: int,
    chunks: Callable[[], Iterator[Rows]],
    learnt: bytes,
    repeat: int,
    folder: str | None,
) -> dict[str, object]:
    """All figures of one set of vectors."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        Gallery.open(Path(place) / "g.sqlite", create=True) as gallery,
    ):
        gallery.bind(bytes(32), "text")
        gallery.make_collection("all", items_max=count, source_items_max=count)
        epoch = EPOCH if learnt else 0
        gallery.learn_epochs({epoch: bool(learnt)})
        if learnt:
            gallery.learn_space(epoch, learnt)
        found: dict[str, object] = {"vectors": name, "items": count, "load": os.getloadavg()[0]}
        found["add_s"] = fill(gallery, chunks(), epoch)
        cache = Cache(gallery.path)
        found["placing_s"] = asked(gallery, cache, np.ones(DIMENSIONS, "<f4").tobytes(), None)[0] / 1_000
        probes = _probes(cache, repeat)
        found["signs_s"] = asked(gallery, cache, probes[0], 0)[0] / 1_000
        exact = [asked(gallery, cache, one, None) for one in probes]
        signs = [asked(gallery, cache, one, 0) for one in probes]
        found |= _latency("exact", [one[0] for one in exact]) | _latency(
            signs[0][2], [one[0] for one in signs]
        )
        found["recall_at_10"] = sum(
            len(one[1] & two[1]) for one, two in zip(exact, signs, strict=True)
        ) / sum(len(one[1]) for one in exact)
        (state,) = (cache.read_state(path, SignState) for path in cache.folder.glob(f"*{STATE}"))
        # As the search measured it, whether it then used the signs or not.
        found["signs_recall"], found["signs_surplus"] = (
            (state.recall, state.surplus) if state else (None, None)
        )
        found["bytes"] = {path.name: path.stat().st_size for path in Path(place).rglob("*") if path.is_file()}
        found["resident"] = _resident()
        found["load_after"] = os.getloadavg()[0]
        return found


def _probes(cache: Cache, repeat: int) -> list[bytes]:
    """Vectors of the space: stored ones as they are placed."""
    (path,) = cache.folder.glob("*.vectors")
    placed = np.memmap(path, "<f4", "r").reshape(-1, DIMENSIONS)
    chosen = np.random.default_rng(7).choice(len(placed), repeat, replace=False)
    return [placed[place].tobytes() for place in chosen]


def _latency(name: str, times: list[float]) -> dict[str, object]:
    return {f"{name}_p50_ms": median(times), f"{name}_p95_ms": quantiles(times, n=20)[-1]}


def _resident() -> dict[str, int]:
    """Bytes of memory: of its own, and of files that are mapped."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {name: 1_024 * int(value) for name, value in values.items()}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=int, default=100_000, help="0 for none")
    parser.add_argument(
        "--random", type=int, default=1_000_000, help="0 for none; a million take 10 GB of disk"
    )
    parser.add_argument("--repeat", type=int, default=100, help="queries of each kind")
    parser.add_argument("--folder", help="where the galleries lie while they are measured")
    options = parser.parse_args()
    for name, make, count in (("real", real, options.real), ("random", random, options.random)):
        if count:
            chunks, learnt = make(count)
            print(
                json.dumps(measured(name, count, chunks, learnt, options.repeat, options.folder)), flush=True
            )


if __name__ == "__main__":
    main()
