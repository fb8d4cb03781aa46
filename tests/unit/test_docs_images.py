"""Pictures that follow from code and kept figures are the committed ones; all are sound and told in words."""

from __future__ import annotations

import importlib
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support.documents import ROOT, pages, read

IMAGES = ROOT / "docs" / "images"
DRAWN = {
    "draw_round": "round.svg",
    "draw_architecture": "architecture.svg",
    "draw_trust": "trust.svg",
    "draw_ranking": "ranking.svg",
    "draw_adversaries": "adversaries.svg",
}
DIAGRAMS = ("architecture.svg", "trust.svg")
TERMINAL = "-clip-terminal"
"""What is in every picture of a terminal, which is dark wherever it is read."""
SVG = "{http://www.w3.org/2000/svg}"
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
WIDTH_OF_A_CHARACTER = {"strong": 8.7, "title": 10.6, "small": 6.9, "": 7.9}
"""Of DejaVu Sans, in the mean, at the sizes of the sketches."""


@pytest.mark.parametrize("script", DRAWN)
def test_picture__is_what_its_script_draws(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    drawn = importlib.import_module(script).picture()
    assert (IMAGES / DRAWN[script]).read_text(encoding="utf-8") == drawn, "run `just images`"


def test_recipe__draws_them_all() -> None:
    recipe = read("justfile").partition("\nimages:")[2]
    for script in DRAWN:
        assert f"docs/{script}.py" in recipe


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.name)
def test_svg__is_sound_fetches_nothing_and_follows_light_and_dark(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == f"{SVG}svg"
    assert not re.search(r"@import|@font-face|(?:href|src)=\"(?!#)|url\((?!#)", text)
    assert "prefers-color-scheme: dark" in text or TERMINAL in text


@pytest.mark.parametrize("name", DIAGRAMS)
def test_diagram__words_stay_in_their_boxes_and_apart(name: str) -> None:
    root = ET.fromstring((IMAGES / name).read_text(encoding="utf-8"))
    boxes = [_extent(text) for text in root.iter(f"{SVG}text")]
    width = float(root.attrib["width"])
    for left, right, _, words in boxes:
        assert left > 0, words
        assert right < width, words
    for place, (left, right, y, words) in enumerate(boxes):
        for other_left, other_right, other_y, other in boxes[place + 1 :]:
            apart = right <= other_left or other_right <= left or abs(y - other_y) >= 14
            assert apart, f"{words} lies on {other}"


def test_pages__say_in_words_what_every_picture_shows() -> None:
    shown = set()
    for page in pages():
        for words, target in SHOWN.findall(page.read_text(encoding="utf-8")):
            assert len(words) >= 3, f"{page.name}: {target} has no words for who cannot see it"
            shown.add(target.rpartition("/")[2])
    assert {path.name for path in IMAGES.glob("*.svg")} <= shown


def _extent(text: ET.Element) -> tuple[float, float, float, str]:
    """Left, right and baseline of a line, by the mean width of its characters."""
    words = text.text or ""
    width = len(words) * WIDTH_OF_A_CHARACTER.get(text.get("class", ""), 8.7)
    x = float(text.attrib["x"])
    left = {"middle": x - width / 2, "start": x, "end": x - width}[text.get("text-anchor", "start")]
    return left, left + width, float(text.attrib["y"]), words
