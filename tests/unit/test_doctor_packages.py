"""The four generic package names: another distribution or file that has one of them is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.doctor.finding import Verdict
from node.doctor.packages import OURS, PACKAGES, Places, judge, look
from tests.support.cli import ROOT, process


def ours() -> list[Places]:
    return [Places(name, ("deltamesh",), (OURS / name,)) for name in PACKAGES]


def test_packages__of_this_tree_are_ours() -> None:
    assert OURS == ROOT
    (finding,) = judge(ours())
    assert finding.verdict is Verdict.OK
    assert [one.found for one in look([str(ROOT)])] == [(ROOT / name,) for name in PACKAGES]


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("layout", ["module.py", "package"])
def test_stranger__before_ours_is_an_error_and_behind_a_warning(
    tmp_path: Path, name: str, layout: str
) -> None:
    place = tmp_path / f"{name}.py" if layout == "module.py" else tmp_path / name / "__init__.py"
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    named = place if layout == "module.py" else place.parent
    (before,) = judge(look([str(tmp_path), str(ROOT)]))
    assert before.verdict is Verdict.ERROR
    assert before.seen.startswith(f"{named} comes before")
    (behind,) = judge(look([str(ROOT), str(tmp_path)]))
    assert behind.verdict is Verdict.WARNING
    assert str(tmp_path) in behind.seen


def test_folder_without_code__is_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.ini").write_text("")
    assert judge(look([str(tmp_path), str(ROOT)]))[0].verdict is Verdict.OK


@pytest.mark.parametrize("name", PACKAGES)
def test_distribution__that_owns_one_of_the_names_too_is_an_error(name: str) -> None:
    places = [
        Places(name, ("config-py", "deltamesh"), one.found) if one.name == name else one for one in ours()
    ]
    (finding,) = judge(places)
    assert finding.verdict is Verdict.ERROR
    assert "config-py" in finding.seen
    assert "pip uninstall config-py" in finding.remedy


def test_doctor__tells_who_shadows_it_also_where_nothing_else_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("SETTINGS = {}\n")
    ended = process("doctor", "--offline", before=f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    assert ended.code == 3
    assert f"{tmp_path / 'config.py'} comes before" in ended.out
    assert "PYTHONPATH" in ended.out
    assert "Traceback" not in ended.err
