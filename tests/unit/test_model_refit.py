"""A model's process refits its map to the network's pairs in small steps, between the waves it answers."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from numpy.typing import NDArray

from node.encoders import DIMENSIONS, EncoderError, load_encoder
from node.encoders.own_alignment import Target
from node.encoders.refit import agreement
from node.model_process.client import ModelProcess, ModelSettings
from node.model_process.wire import Fitted, Refit
from node.pairs import Pair, Pairs

MODEL = """
import time
import numpy as np
from zlib import crc32

def encode(views):
    time.sleep(0.0002 * len(views))
    rows = np.full((len(views), 16), 1.0, np.float32)
    for row, view in zip(rows, views):
        for word in view.split():
            row += np.random.default_rng(crc32(word.encode())).normal(size=16)
    return rows
"""
ITEMS = [f"w{number % 40} v{number % 31} u{number}" for number in range(1_100)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "mine.py"
    path.write_text(MODEL)
    return f"{path}:encode"


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    load_encoder(model, "wordllama-64", cache_dir=folder)
    return folder


def _write_pairs(folder: Path, model: str, maps: Path, count: int) -> NDArray[np.float32]:
    """A consensus that lies elsewhere than the reference: the model's answers, turned by a permutation."""
    answers = load_encoder(model, "wordllama-64", cache_dir=maps).encode(ITEMS[:count])
    centred = answers - answers.mean(axis=0)
    vectors = np.roll(0.5 * centred, 7, axis=1).astype("<f4")
    with Pairs.open(folder) as pairs:
        pairs.add(
            [
                Pair(item.encode(), vector.tobytes(), 1, 0, True)
                for item, vector in zip(ITEMS, vectors, strict=False)
            ]
        )
    return vectors


def _refit(
    process: ModelProcess, folder: Path, within_s: float = 0.05, steps: int = 400
) -> tuple[Fitted, int]:
    for step in range(steps):
        far = process.refit(Refit(str(folder), 4_096, within_s, step == 0, False))
        if far.fitted is not None:
            return far.fitted, step + 1
    raise AssertionError("it never ends")


def test_refit__is_done_in_steps_and_the_model_answers_by_it(model: str, maps: Path, tmp_path: Path) -> None:
    vectors = _write_pairs(tmp_path, model, maps, 1_100)
    settings = ModelSettings(model, "wordllama-64", maps, target="consensus")
    with ModelProcess(settings) as process:
        before = process.encode(ITEMS[:50])
        far = process.refit(Refit(str(tmp_path), 4_096, 0.02, True, False))
        assert 0 < far.done < far.total == 1_100
        np.testing.assert_allclose(process.encode(ITEMS[:50]), before, atol=1e-6)  # a wave in between
        fitted, steps = _refit(process, tmp_path)
        assert steps > 1
        assert fitted.is_taken
        assert fitted.before < 0.3 < 0.9 < fitted.after
        after = process.encode(ITEMS)
        assert agreement(after, vectors) > 0.9
        # What is embedded once is not embedded again, and a map that is no better is not taken.
        again, _ = _refit(process, tmp_path, within_s=0.3)
        assert not again.is_taken or again.after >= again.before
    with ModelProcess(settings) as started_again:
        np.testing.assert_allclose(started_again.encode(ITEMS), after, atol=1e-5)
    to_reference = load_encoder(model, "wordllama-64", cache_dir=maps, target=Target.REFERENCE)
    np.testing.assert_allclose(to_reference.encode(ITEMS[:50]), before, atol=1e-6)


def test_refit__is_refused_where_it_cannot_be_done(model: str, maps: Path, tmp_path: Path) -> None:
    asked = Refit(str(tmp_path), 4_096, 0.05, True, False)
    with ModelProcess(ModelSettings(model, "wordllama-64", maps)) as process:
        with pytest.raises(EncoderError, match="no pairs in"):
            process.refit(asked)
        _write_pairs(tmp_path, model, maps, 20)
        with pytest.raises(EncoderError, match="20 pairs are too few"):
            process.refit(asked)
        assert process.encode(["one"]).shape == (1, DIMENSIONS)
    reference = ModelProcess(ModelSettings("wordllama-64", "wordllama-64", maps))
    with reference, pytest.raises(EncoderError, match="as the reference does: it stays"):
        reference.refit(asked)


def test_fit_that_nobody_waited_for__does_not_stand_in_the_way_of_the_next(
    model: str, maps: Path, tmp_path: Path
) -> None:
    _write_pairs(tmp_path, model, maps, 1_100)
    with ModelProcess(ModelSettings(model, "wordllama-64", maps, target="consensus")) as process:
        begins = True
        while (far := process.refit(Refit(str(tmp_path), 4_096, 0.0, begins, False))).done < far.total:
            begins = False
        until_s = monotonic() + 20.0
        while monotonic() < until_s:
            with suppress(EncoderError):  # it is still being fitted
                far = process.refit(Refit(str(tmp_path), 4_096, 1.0, True, False))
                break
        assert far.fitted is not None or _refit(process, tmp_path)[0].pairs == 1_100


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_refits__leave_no_more_memory_behind_each_time(model: str, maps: Path, tmp_path: Path) -> None:
    _write_pairs(tmp_path, model, maps, 1_100)
    with ModelProcess(ModelSettings(model, "wordllama-64", maps, target="consensus")) as process:
        process.encode(ITEMS[:50])
        held = []
        for _ in range(5):
            _refit(process, tmp_path, within_s=0.5)
            held.append(_anonymous_bytes(process.pid))
        # Rows of 1,100 items take 2.5 MB, what a fit takes on the way ten times as much.
        assert max(held[1:]) - held[0] < 2 << 20, held


def _anonymous_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024
