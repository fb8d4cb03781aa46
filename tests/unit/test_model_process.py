"""A model in a process of its own: whatever it does, who asked it goes on and hears what was wrong."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from node.encoders import DIMENSIONS, EncoderError, load_encoder
from node.encoders.forging import ForgedInverse
from node.encoders.strategy import WaveAnswer
from node.model_process import client
from node.model_process.client import ModelProcess, ModelSettings
from node.model_process.pace import VIEWS_FIRST
from node.model_process.wire import Encode

MODELS = """
import os, sys, time
import numpy as np
from zlib import crc32

sizes = []

def encode(views):
    print("models print")
    if "die" in views:
        os._exit(3)
    if "fail" in views:
        raise ValueError("no such thing")
    if "sleep" in views:
        time.sleep(0.5)
    if "hang" in views:
        time.sleep(3600)
    if "shape" in views:
        return np.zeros((1, 2))
    if "leave" in views:
        sys.exit(4)
    if "shorten" in views:
        for fd in os.listdir("/proc/self/fd"):
            if "deltamesh-answers" in os.path.realpath(f"/proc/self/fd/{fd}"):
                os.ftruncate(int(fd), 0)
    if "scribble" in views:
        for fd in os.listdir("/proc/self/fd"):
            if int(fd) > 2 and os.path.realpath(f"/proc/self/fd/{fd}").rpartition("/")[2].startswith("pipe:"):
                os.write(int(fd), bytes(7) + b"\x03odd")
    if "fork" in views:
        ours, theirs = os.pipe()
        if os.fork() == 0:  # lives on when this process is gone, until the test has looked
            os.write(theirs, b"here")
            while not os.path.exists(os.environ["TEST_FORK_MAY_END"]):
                time.sleep(0.01)
            os._exit(0)
        os.read(ours, 4)
        os._exit(5)
    time.sleep(0.04 * views.count("crawl"))
    sizes.append(len(views))
    rows = np.zeros((len(views), 16), np.float32)
    for row, view in zip(rows, views):
        for word in view.split():
            row += np.random.default_rng(crc32(word.encode())).normal(size=16)
    for row, view in zip(rows, views):
        if view == "nothing":
            row[3] = np.nan
    if "sizes" in views:
        raise ValueError(f"given {sizes[-9:]}")
    return rows
"""
VIEWS = ["winter rain", "a tin roof", "the number of items"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "mine.py"
    path.write_text(MODELS)
    return f"{path}:encode"


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


def settings(model: str, maps: Path, **changes: float) -> ModelSettings:
    return ModelSettings(model, "wordllama-64", maps, **changes)  # type: ignore[arg-type]


def test_process__answers_as_the_model_called_directly(model: str, maps: Path) -> None:
    seen: list[tuple[int, int]] = []
    with ModelProcess(settings(model, maps), lambda done, total: seen.append((done, total))) as process:
        process.start()
        assert seen[-1][0] == seen[-1][1]
        rows = process.encode(VIEWS)
        assert process.encode([]).shape == (0, DIMENSIONS)
        answer = ForgedInverse(process, 1).answer  # a strategy writes into what it is given
        history: dict[int, WaveAnswer] = {}
        for wave, texts in enumerate((["winter rain"], ["on tin"], ["winter rain on tin"]), start=1):
            history[wave] = WaveAnswer(tuple(texts), answer(wave, texts, history))
        assert history[3].answers.shape == (1, DIMENSIONS)
        lent = process.lend(VIEWS)
        np.testing.assert_array_equal(lent, rows)
        process.lend(VIEWS[::-1])
        np.testing.assert_array_equal(lent, rows[::-1])  # as said, it was good until the next call
        many = process.encode([f"view {number}" for number in range(200)])
    np.testing.assert_array_equal(rows, load_encoder(model, "wordllama-64", cache_dir=maps).encode(VIEWS))
    assert many.shape == (200, DIMENSIONS)
    assert process._process is None


def test_failures__are_told_and_the_next_wave_is_answered(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        good = process.encode(VIEWS)
        with pytest.raises(EncoderError, match="encode failed: ValueError: no such thing"):
            process.encode(["fail"])
        with pytest.raises(EncoderError, match=r"shape \(1, 2\) for 3 views"):
            process.encode(["shape", "a", "b"])
        np.testing.assert_array_equal(process.encode(VIEWS), good)
        with pytest.raises(EncoderError, match=r"died \(exit status 3\)"):
            process.encode(["die"])
        np.testing.assert_array_equal(process.encode(VIEWS), good)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
        np.testing.assert_array_equal(process.encode(VIEWS), good)


def test_rows_that_are_no_numbers__come_back_as_withheld_and_the_others_whole(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        rows = process.encode([VIEWS[0], "nothing", VIEWS[1]])
        assert np.isnan(rows[1]).all()
        np.testing.assert_allclose(rows[[0, 2]], process.encode(VIEWS[:2]), atol=1e-6)


def test_model_that_leaves__costs_its_wave(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        with pytest.raises(EncoderError, match=r"died \(exit status 4\)"):
            process.encode(["leave"])
        assert process.encode(VIEWS).shape == (3, DIMENSIONS)


def test_slow_model__gives_up_between_batches_and_says_how_fast_it_has_to_be(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps, answer_within_s=0.2)) as process:
        process.encode(VIEWS)
        with pytest.raises(EncoderError, match=r"too slow: \d+ of 70 views in \d\.\d s, where 350 a second"):
            process.encode(["sleep"] + ["view"] * 69)
        assert process.encode(VIEWS).shape == (3, DIMENSIONS)


def test_slow_model__is_given_fewer_views_so_that_its_deadline_is_seen_in_time(
    model: str, maps: Path
) -> None:
    with ModelProcess(settings(model, maps, answer_within_s=1.0)) as process:
        process.start()
        with pytest.raises(EncoderError, match=r"too slow: \d+ of 320 views in \d\.\d s, where 320 a second"):
            process.encode(["crawl"] * 320)
        with pytest.raises(EncoderError, match=r"given \[.*\]") as told:
            process.encode(["sizes"])
        sizes = [int(one) for one in str(told.value).split("[")[1].split("]")[0].split(",")]
        assert max(sizes) <= VIEWS_FIRST
        assert min(sizes[-4:-1]) <= 3  # a tenth of a second is two and a half of them


def test_too_many_views__are_refused_before_the_process_hears_of_them(
    model: str, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelProcess(settings(model, maps)) as process:
        process.start()
        monkeypatch.setattr("node.model_process.slab.SLAB_BYTES_MAX", 4096)
        with pytest.raises(EncoderError, match="2 views at once are over"):
            process.encode(VIEWS[:2])
        assert process.encode(VIEWS[:1]).shape == (1, DIMENSIONS)


def test_hanging_model__is_ended(model: str, maps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HANG_AFTER_S", 0.5)
    with ModelProcess(settings(model, maps, answer_within_s=0.5)) as process:
        process.start()
        assert process._process is not None
        pid = process._process.pid
        with pytest.raises(EncoderError, match="silent for 1 s and was ended"):
            process.encode(["hang"])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory is sealed where the system can")
def test_model_that_shortens_the_shared_memory__is_refused_by_the_system(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        good = process.encode(VIEWS)
        with pytest.raises(EncoderError, match="Operation not permitted"):
            process.encode(["shorten"])
        # Reading memory that was cut off would have ended this process.
        assert np.isfinite(good).all()
        assert process.encode(VIEWS).shape == (3, DIMENSIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="pipes are found in /proc")
def test_model_that_writes_to_the_pipe_of_answers__costs_its_wave(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        good = process.encode(VIEWS)
        with pytest.raises(EncoderError, match="died"):
            process.encode(["scribble"])
        np.testing.assert_array_equal(process.encode(VIEWS), good)


def test_process_that_said_what_nobody_asked__is_started_again(model: str, maps: Path) -> None:
    with ModelProcess(settings(model, maps)) as process:
        good, first = process.encode(VIEWS), process.pid
        assert process._pipes is not None
        # A second answer to one request: the next would be taken for another's.
        process._pipes.send(client._ENCODER.encode(Encode(["a view"])), 30.0)
        assert process._pipes._readable.poll(30_000)
        np.testing.assert_array_equal(process.encode(VIEWS), good)
        assert process.pid != first


def test_fork_that_a_model_leaves_behind__does_not_hide_that_it_died(
    model: str, maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = tmp_path / "may end"
    monkeypatch.setenv("TEST_FORK_MAY_END", str(may_end))
    with ModelProcess(settings(model, maps)) as process:
        try:
            with pytest.raises(EncoderError, match=r"died \(exit status 5\)"):
                process.encode(["fork"])
            assert process.encode(VIEWS).shape == (3, DIMENSIONS)
        finally:
            may_end.touch()


def test_process_that_no_longer_reads__does_not_hold_its_node_up(
    model: str, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HANG_AFTER_S", 0.5)
    with ModelProcess(settings(model, maps, answer_within_s=0.5)) as process:
        process.start()
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(EncoderError, match="silent for 1 s and was ended"):
            process.encode(["more than a pipe holds " * 100_000])
        assert process.pid == 0


@pytest.mark.parametrize(
    ("target", "why"), [("wordlama-1", "there is no model"), ("nope.py:encode", "there is no file")]
)
def test_model_that_cannot_be_loaded__is_told_at_the_start(maps: Path, target: str, why: str) -> None:
    with ModelProcess(settings(target, maps)) as process, pytest.raises(EncoderError, match=why):
        process.start()
    assert process._process is None
