"""Models of one's own: functions, what they return, how they are named, what is said of their mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from node.encoders import DIMENSIONS, EncoderError, load_encoder
from node.encoders.answers import checked_rows
from node.encoders.endpoint import EndpointModel
from node.encoders.function_model import FunctionModel
from node.encoders.models import own_model
from node.encoders.sentence_transformer import SentenceTransformerModel
from node.encoders.torch_module import TorchModuleModel
from node.encoders.user_code import load_function

HASHING = """
import numpy as np
from zlib import crc32

def encode(views):
    rows = np.zeros((len(views), 40), np.float32)
    for row, view in zip(rows, views):
        for word in view.split():
            rows_seed = np.random.default_rng(crc32(word.encode()))
            row += rows_seed.normal(size=40)
    return rows

def fails(views):
    raise ZeroDivisionError("too clever")

def sometimes(views):
    rows = encode(views)
    rows[::12] = np.nan
    return rows

def often(views):
    rows = encode(views)
    rows[::2] = np.nan
    return rows

NUMBER = 7
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine.py"
    path.write_text(HASHING)
    return path


# -- answers -----------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from(["f2", "f4", "f8", "i4"]))
def test_rows__of_any_number_type_are_taken_as_float32(views: int, width: int, kind: str) -> None:
    given_rows = np.arange(views * width).reshape(views, width).astype(kind)
    for answer in (given_rows, given_rows.tolist(), torch.from_numpy(given_rows.copy())):
        rows = checked_rows(answer, views, "mine")
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, given_rows.astype(np.float32))


def test_rows__of_a_tensor_with_a_graph_are_taken() -> None:
    answer = torch.ones(2, 3, requires_grad=True) * 2
    np.testing.assert_array_equal(checked_rows(answer, 2, "mine"), np.full((2, 3), 2, np.float32))


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf, 1e300])
def test_rows__with_a_hole_are_withheld_whole(hole: float) -> None:
    rows = checked_rows(np.array([[1.0, hole], [3.0, 4.0]]), 2, "mine")
    assert np.isnan(rows[0]).all()
    np.testing.assert_array_equal(rows[1], [3, 4])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\) for 3 views: return one row a view, \(3, d\)"),
        (np.zeros(3), r"shape \(3,\) for 3 views"),
        (np.zeros((3, 2, 2)), r"shape \(3, 2, 2\)"),
        (np.zeros((3, 0)), "rows of 0 numbers"),
        ([[1.0], [1.0, 2.0], [1.0]], "returned no matrix"),
        (None, "returned NoneType"),
        ("vectors", "returned str"),
        ([["a"], ["b"], ["c"]], "an array of <U1"),
        (np.zeros((3, 5)), "rows of 5 numbers, and of 4 before"),
    ],
)
def test_rows__of_another_shape_are_refused_in_words(answer: Any, why: str) -> None:
    with pytest.raises(EncoderError, match=why):
        checked_rows(answer, 3, "mine", 4 if "before" in why else None)


# -- functions ---------------------------------------------------------------------------------------------


def test_function_of_a_file__is_aligned_and_answers_in_the_shared_space(file: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    encoder = load_encoder(
        f"{file}:encode", cache_dir=tmp_path, on_anchors=lambda done, total: seen.append((done, total))
    )
    rows = encoder.encode(["winter rain on a tin roof", "a second view"])
    assert rows.shape == (2, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 1000
    (kept,) = tmp_path.iterdir()  # under a name that is no path
    assert kept.name.startswith("alignment-")
    seen.clear()
    again = load_encoder(
        f"{file}:encode", cache_dir=tmp_path, on_anchors=lambda done, total: seen.append((done, total))
    )
    assert not seen
    np.testing.assert_allclose(again.encode(["a second view"])[0], rows[1], atol=1e-6)


def test_map__is_fitted_anew_when_the_function_answers_otherwise(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HASHING)
    one = FunctionModel(f"{path}:encode").fingerprint()
    assert FunctionModel(f"{path}:encode").fingerprint() == one
    path.write_text(HASHING.replace("view.split()", "view.split()[:1]"))
    assert FunctionModel(f"{path}:encode").fingerprint() != one


def test_function_of_an_installed_package__is_found() -> None:
    assert load_function("json:dumps")(["a"]) == '["a"]'


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("{file}:nothing", "has no function 'nothing': it has "),
        ("{file}:NUMBER", "has no function 'NUMBER'"),
        ("{folder}/other.py:encode", "there is no file"),
        ("{broken}:encode", "cannot be run: SyntaxError"),
        ("{needy}:encode", "cannot be run: ModuleNotFoundError: No module named 'surely_not_there'"),
        ("no_such_package.models:encode", "no installed module 'no_such_package.models'"),
        ("json:", "names no function"),
        (":encode", "names no function"),
        ("json:2 + 2", "names no function"),
    ],
)
def test_target__that_names_no_function_says_which_half_is_wrong(
    file: Path, tmp_path: Path, target: str, why: str
) -> None:
    broken, needy = tmp_path / "broken.py", tmp_path / "needy.py"
    broken.write_text("def encode(:")
    needy.write_text("import surely_not_there")
    with pytest.raises(EncoderError, match=why):
        load_function(target.format(file=file, folder=tmp_path, broken=broken, needy=needy))


def test_failing_function__says_how_it_failed(file: Path) -> None:
    with pytest.raises(EncoderError, match="fails failed: ZeroDivisionError: too clever"):
        FunctionModel(f"{file}:fails").embed(["a"])


def test_function_that_withholds_a_little__is_aligned_on_the_rest(file: Path) -> None:
    encoder = load_encoder(f"{file}:sometimes")
    rows = encoder.encode(["view"] * 13)
    assert np.isnan(rows[[0, 12]]).all()
    np.testing.assert_allclose(np.linalg.norm(rows[1:12], axis=1), 1, atol=1e-5)


def test_function_that_withholds_half__is_refused(file: Path) -> None:
    with pytest.raises(EncoderError, match="who withholds so much is not heard"):
        load_encoder(f"{file}:often")


# -- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("package.module:encode", FunctionModel),
        ("./mine.py:encode", FunctionModel),
        ("sentence-transformers:/models/minilm", SentenceTransformerModel),
        ("openai:bge-m3@http://localhost:8000/v1", EndpointModel),
        ("torch:package.module:factory?weights=w.safetensors", TorchModuleModel),
        ("wordllama-256", type(None)),
        ("wordlama-256", type(None)),
    ],
)
def test_model__is_told_by_how_it_is_written(text: str, kind: type) -> None:
    assert type(own_model(text, 1)) is kind


def test_unknown_name__is_told_the_nearest_and_how_to_bring_ones_own() -> None:
    with pytest.raises(
        EncoderError, match=r"did you mean `wordllama-256`\? .* `deltamesh models list` tells how"
    ):
        load_encoder("wordlama-256")
