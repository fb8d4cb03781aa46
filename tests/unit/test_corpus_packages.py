"""The default corpus beyond Python's own: in order, without repeats, and whatever of it is installed."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
from pathlib import Path

import pytest

import node.corpus_packages as packages
from node.corpus import load_challenge_pool, python_pool
from node.corpus_packages import PARTS, package_documents
from node.shingles import SHINGLES_KNOWN_MAX, saying_more, shingles
from node.testnet.plan import Wanted, _parameters, _pools

PROSE = (
    "A literal of several lines is prose when it tells what something does, in sentences that follow each "
    "other and in words that are not names, as this one does, although nobody would document anything so."
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one part in place of the real ones."""
    (tmp_path / "part").mkdir()
    monkeypatch.setattr(packages, "PARTS", {"made_up": ("part", "gone"), "missing": ("",)})

    def find(name: str) -> importlib.machinery.ModuleSpec | None:
        origin = str(tmp_path / "__init__.py")
        return importlib.machinery.ModuleSpec(name, None, origin=origin) if name == "made_up" else None

    monkeypatch.setattr(packages, "find_spec", find)
    return tmp_path


def test_package_documents__are_long_literals_and_whole_pages_in_sorted_order(installed: Path) -> None:
    part = installed / "part"
    (part / "b.py").write_text(f'def f():\n    r"""See :func:`~other.g` and `h`.\n\n    {PROSE}"""\n')
    (part / "a.py").write_text(f'x = """short"""\nadd("""{PROSE} One.""")\n"""{PROSE} Two."""\n')
    (part / "c.rst").write_text(f"{PROSE} Three.")
    assert list(package_documents()) == [
        f"{PROSE} One.",
        f"{PROSE} Two.",
        f"See other.g and h.\n\n{PROSE}",
        f"{PROSE} Three.",
    ]


def test_package_documents__pass_over_tests_and_what_cannot_be_read(
    installed: Path,
) -> None:
    for folder in ("tests", "externals"):
        (installed / "part" / folder).mkdir()
        (installed / "part" / folder / "a.py").write_text(f'"""{PROSE}"""')
    (installed / "part" / "latin.py").write_bytes(f'"""{PROSE}"""'.encode() + b"caf\xe9")
    (installed / "part" / "folder.py").mkdir()
    (installed / "part" / "data.txt").write_text(f'"""{PROSE}"""')
    assert list(package_documents()) == []


def test_load_challenge_pool__has_the_items_of_python_alone_where_no_package_has_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    assert load_challenge_pool(None, words_min=21) == python_pool(words_min=21)


def test_load_challenge_pool__begins_with_python_and_repeats_nothing() -> None:
    pool, own = load_challenge_pool(None), python_pool()
    assert pool[: len(own)] == own
    assert len(pool) > 4 * len(own)
    known = {shingle for text in own for shingle in shingles(text)}
    for item in pool[len(own) :]:
        runs = shingles(item)
        assert len(runs & known) <= SHINGLES_KNOWN_MAX * len(runs)
        known |= runs


def test_load_challenge_pool__is_the_same_in_another_process() -> None:
    code = "import sys; from node.corpus import load_challenge_pool as l; sys.stdout.write(repr(l(None)))"
    path = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert said.stdout == repr(load_challenge_pool(None))


def test_pools__of_a_local_network_share_no_item_and_last_a_hundred_rounds() -> None:
    wanted = Wanted(validators=4, encoders=8, cheaters=2, cheats=("lazy",), data=None, seed=0)
    pools = [set(pool) for pool in _pools(wanted, _parameters(wanted))]
    assert len(set.union(*pools)) == sum(map(len, pools))
    assert 4 * (min(map(len, pools)) // 64) > 100


def test_parts__are_of_packages_that_deltamesh_depends_on() -> None:
    from importlib.metadata import requires

    needed = " ".join(requires("deltamesh") or [])
    assert all({"sklearn": "scikit-learn"}.get(name, name) in needed for name in PARTS)


def test_saying_more__leaves_out_what_repeats_runs_of_words() -> None:
    known = shingles("the quick brown fox jumps over the lazy dog")
    said = [
        "The quick brown fox jumps over it.",
        "Nothing of this was said before by anybody.",
        "Nothing of this was said.",
    ]
    assert list(saying_more(said, known)) == said[1:2]
    assert shingles("One two") == {("one", "two")}
