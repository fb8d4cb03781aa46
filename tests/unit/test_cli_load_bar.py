"""The bar of a model that loads: from its start until it is ready, and only where somebody watches."""

from __future__ import annotations

import io
import sys

import pytest

from node.cli.load_bar import load_bar


class Terminal(io.StringIO):
    """A standard error somebody watches."""

    def isatty(self) -> bool:
        return True


def test_bar__says_that_it_loads_then_how_far_alignment_is_and_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = load_bar("./mine.py:encode")
    assert bar is not None
    with bar as told:
        told(0, 3000)
        told(1500, 3000)
        told(3000, 3000)
        told(3000, 3000)
    drawn = terminal.getvalue()
    assert "loading ./mine.py:encode" in drawn
    assert drawn.index("loading") < drawn.index("aligning the model")
    assert "100%" in drawn
    assert drawn.endswith("\x1b[2K")  # its line is cleared


def test_bar__of_a_model_that_cannot_be_loaded_is_gone_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = load_bar("mine")
    assert bar is not None
    with pytest.raises(ValueError, match="no model"), bar:
        raise ValueError("no model")
    assert terminal.getvalue().endswith("\x1b[2K")


def test_bar__is_not_drawn_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert load_bar("mine") is None
