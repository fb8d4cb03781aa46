"""docs/examples/: encoders that a reader copies, and the unit of a service."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from node.encoders.function_model import FunctionModel
from tests.support.cli import deltamesh
from tests.support.documents import ROOT, mistake_in, read

EXAMPLES = ROOT / "docs" / "examples"
VIEWS = ["the boats stay in the harbour", "a", "", "Boats! stay, the in", "ein völlig anderer Satz"]


@pytest.fixture(scope="module")
def latent_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, its weights learnt from the pages beside it."""
    folder = tmp_path_factory.mktemp("latent")
    copy = folder / "latent_words.py"
    copy.write_text((EXAMPLES / "latent_words.py").read_text())
    learning = [sys.executable, str(copy), str(ROOT / "docs")]
    said = subprocess.run(learning, capture_output=True, text=True, check=True).stdout
    assert re.match(r"\d{3,} passages, vectors in ", said)
    return copy


def test_bag_of_words__answers_a_row_for_each_view_whatever_it_is() -> None:
    rows = FunctionModel(f"{EXAMPLES / 'bag_of_words.py'}:encode").embed(VIEWS)
    assert rows.shape == (len(VIEWS), 4096)
    assert (rows[0] @ rows[3]) > 0.5 > (rows[0] @ rows[4])
    assert not rows[2].any(), "a view without words has no direction"


def test_bag_of_words__answers_the_same_in_another_process() -> None:
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); from bag_of_words import encode\n"
    code += f"sys.stdout.buffer.write(encode({VIEWS!r}).tobytes())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    sys.path.insert(0, str(EXAMPLES))
    try:
        from bag_of_words import encode  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(EXAMPLES))
    assert np.frombuffer(there, np.float32).tobytes() == encode(VIEWS).tobytes()


def test_latent_words__without_weights_says_how_to_learn_them(tmp_path: Path) -> None:
    copy = tmp_path / "latent_words.py"
    copy.write_text((EXAMPLES / "latent_words.py").read_text())
    with pytest.raises(Exception, match=r"no weights at .*: run `python .*latent_words\.py FOLDER` first"):
        FunctionModel(f"{copy}:encode").embed(["a text"])


@pytest.mark.slow
def test_models_check__hears_both_examples(latent_words: Path) -> None:
    scores = {}
    for path in (EXAMPLES / "bag_of_words.py", latent_words):
        ended = deltamesh("models", "check", f"{path}:encode", "--json")
        assert ended.code == 0, ended.err
        assert ended.json["faults"] == []
        scores[path.stem] = ended.json["scores"][f"{path}:encode"]
    # The page says .218 and .169. Which items are drawn hangs on what this Python documents, and the second
    # model moves with the pages it is learnt from.
    assert scores["bag_of_words"] == pytest.approx(0.218, abs=0.06)
    assert scores["latent_words"] == pytest.approx(0.169, abs=0.06)
    assert "(`bag_of_words.py`) | .218 |" in read("docs/write-your-own-encoder.md")


def test_service__starts_the_commands_there_are() -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((EXAMPLES / "deltamesh@.service").read_text())
    program, *words = unit["Service"]["ExecStart"].split()
    assert program.endswith("/.venv/bin/deltamesh")
    for role in ("validator", "encoder"):
        assert mistake_in([role if word == "%i" else word for word in words]) is None
    # The node's own limit, and time to spare.
    assert float(unit["Service"]["TimeoutStopSec"]) > 8
