"""What a check found: one line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How much a finding matters, mildest first."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WARNING = "warning"
    """The node runs, and worse than it could."""
    ERROR = "error"
    """The node does not start, or does not do its part."""

    @property
    def rank(self) -> int:
        """Place among the verdicts: a higher one is worse."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. What is not OK says why it matters and what to do next."""

    check: str
    verdict: Verdict
    seen: str
    why: str = ""
    remedy: str = ""


def ok(check: str, seen: str) -> Finding:
    """As it should be."""
    return Finding(check, Verdict.OK, seen)


def note(check: str, seen: str, why: str = "", remedy: str = "") -> Finding:
    """Worth knowing."""
    return Finding(check, Verdict.NOTE, seen, why, remedy)


def warning(check: str, seen: str, why: str, remedy: str) -> Finding:
    """Worse than it could be."""
    return Finding(check, Verdict.WARNING, seen, why, remedy)


def error(check: str, seen: str, why: str, remedy: str) -> Finding:
    """Something the node cannot do with."""
    return Finding(check, Verdict.ERROR, seen, why, remedy)
