"""The pages as a web site: its menu, and nothing that leads nowhere or is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.documents import ROOT, pages

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:[^"]*)|<link\b[^>]*\bhref="(https?:[^"]*)"""
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_menu__leads_to_every_page_once(script: ModuleType) -> None:
    linked = [page for _, entries in script.menu() for _, page in entries]
    assert len(linked) == len(set(linked))
    every = {str(page.relative_to(ROOT)) for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert every - set(linked) == {"docs/index.md", "docs/adr/template.md"}


def test_menu__titles_are_short_and_differ(script: ModuleType) -> None:
    titles = [title for _, entries in script.menu() for title, _ in entries]
    assert len(titles) == len(set(titles))
    assert all(0 < len(title) < 80 for title in titles)


def test_sources__hold_no_weights_and_nothing_untracked_by_name(script: ModuleType) -> None:
    names = list(script.sources())
    assert "docs/quickstart.md" in names
    assert not [name for name in names if name.endswith((".safetensors", ".pyc"))]


@pytest.mark.slow
def test_site__is_built_and_loads_nothing_from_elsewhere(script: ModuleType, tmp_path: Path) -> None:
    assert script.build(tmp_path / "site") == 0
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) > len(pages()) - 5
    for page in built:
        loaded = _LOADED.findall(page.read_text(encoding="utf-8"))
        assert not loaded, f"{page.name} loads {loaded}"


@pytest.mark.slow
def test_site__is_not_built_with_a_link_that_leads_nowhere(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Documentation\n\n[gone](nowhere.md)\n")
    (tmp_path / "README.md").write_text("# deltamesh\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "menu", lambda: [])
    monkeypatch.setattr(script, "_TOP", ("README.md",))
    assert script.build(tmp_path / "site") != 0
    assert "nowhere.md" in capfd.readouterr().err
    assert not (tmp_path / "site").exists()
