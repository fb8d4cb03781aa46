"""`deltamesh encoder align`: fits, measures, keeps; and says what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.cli.errors import ExitCode
from node.corpus import load_challenge_pool
from node.encoders import load_encoder
from node.encoders.alignment_store import FOLDER_NAME
from node.encoders.own_alignment import Target
from node.pairs import Pair, Pairs
from protocol.items import canonical_text
from tests.support.cli import deltamesh, directory_of, home_with_round

MODEL = """
import numpy as np
from zlib import crc32

def words(views):
    rows = np.zeros((len(views), 200), np.float32)
    for row, view in zip(rows, views):
        for word in view.lower().split():
            row += np.random.default_rng(crc32(word.encode())).normal(size=200)
    return rows
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    home_with_round(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "mine.py"
    path.write_text(MODEL)
    return f"{path}:words"


def _give_pairs(home: Path, count: int) -> None:
    """A consensus that wordllama-128 alone would reach."""
    items = load_challenge_pool(None)[:count]
    vectors = load_encoder("wordllama-128").encode(items)
    vectors = (vectors - vectors.mean(axis=0)).astype("<f4")
    with Pairs.open(directory_of(home).root) as pairs:
        pairs.add(
            [
                Pair(canonical_text(item), vector.tobytes(), 1, 0, True)
                for item, vector in zip(items, vectors, strict=True)
            ]
        )


@pytest.mark.slow
def test_align__keeps_the_better_way_and_says_what_it_costs(home: Path, model: str) -> None:
    ended = deltamesh("encoder", "align", model, "--home", home, "--pairs", 1500, "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    (other,) = found["others"]
    assert {found["method"], other["method"]} == {"procrustes", "ridge"}
    assert found["scores"][model] >= other["scores"][model]
    assert set(found["scores"]) == {model, "wordllama-256", "wordllama-128", "wordllama-64", "ngram"}
    turned = found if found["method"] == "procrustes" else other
    # A rotation keeps the model's own geometry; only its mean and the lengths change.
    assert turned["retrieval"] == pytest.approx(turned["retrieval_native"], abs=0.02)
    assert found["cosine_before"] is None
    assert Path(found["stored"]).is_file()
    shown = deltamesh("encoder", "align", model, "--home", home, "--method", "ridge", "--strength", 0.1)
    assert shown.code == 0, shown.err
    assert "ridge 0.1" in shown.out
    assert "it keeps" in shown.out
    assert "--align reference" in shown.err


@pytest.mark.slow
def test_align__to_the_consensus_brings_a_model_nearer_to_it(home: Path, model: str) -> None:
    _give_pairs(home, 1_100)
    asked = ("encoder", "align", model, "--home", home, "--to", "consensus", "--method", "ridge", "--json")
    found = deltamesh(*asked).json
    assert (found["pairs"], found["target"], found["others"]) == (1_100, "consensus", [])
    assert found["cosine"] > found["cosine_before"]
    reference = home_with_round(home).genesis.parameters.reference_encoder
    views = load_challenge_pool(None)[-40:]
    folder = directory_of(home).root / FOLDER_NAME
    by_consensus, by_reference = (
        load_encoder(model, reference, cache_dir=folder, target=target).encode(views)
        for target in (Target.CONSENSUS, Target.REFERENCE)
    )
    assert not np.allclose(by_consensus, by_reference, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--to", "moon"), ExitCode.USAGE, "say reference or consensus"),
        (("--method", "magic"), ExitCode.USAGE, "say procrustes or ridge"),
        (("--strength", 1), ExitCode.USAGE, "add --method ridge"),
        (("--method", "ridge", "--strength", -1), ExitCode.USAGE, "a number above 0"),
        (("--to", "consensus", "--network", "other"), ExitCode.NODE_STATE, "there is no node in"),
    ],
)
def test_align__says_what_is_wrong_with_what_was_asked(
    home: Path, model: str, arguments: tuple[object, ...], code: ExitCode, why: str
) -> None:
    ended = deltamesh("encoder", "align", model, "--home", home, *arguments)
    assert ended.code == code
    assert why in ended.error


def test_align__says_how_pairs_are_gathered_and_that_the_reference_needs_none(
    tmp_path: Path, model: str
) -> None:
    round_ = home_with_round(tmp_path)
    asked = ("encoder", "align", "--home", tmp_path, "--to", "consensus")
    missing = deltamesh(*asked, model)
    assert missing.code == ExitCode.STORAGE
    assert "start it with `deltamesh run encoder`" in missing.error
    reference = deltamesh(*asked, round_.genesis.parameters.reference_encoder)
    assert reference.code == ExitCode.BAD_INPUT
    assert "needs no alignment" in reference.error
