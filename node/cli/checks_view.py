"""Checks of a verification as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.cli.output import counted, print_json, printable, say

if TYPE_CHECKING:
    from node.certified import CheckStep, VerificationFailed


def say_held(step: CheckStep) -> None:
    """One line for a check that held."""
    counts = ", ".join(counted(count, name.removesuffix("s")) for name, count in step.counts.items())
    say(f"✓ {step.check.value:<12} {counts}")


def tell_refused(failure: VerificationFailed, passed: Sequence[CheckStep], json_: bool) -> None:
    """The check that did not, after those that held."""
    if json_:
        failed = {"check": failure.check.value, "reason": failure.reason}
        print_json({"accepted": False, "checks": checks_document(passed), "failed": failed})
    else:
        say(f"✗ {failure.check.value:<12} {printable(failure.reason)}")


def checks_document(steps: Sequence[CheckStep]) -> list[dict[str, object]]:
    """As JSON."""
    return [{"check": step.check.value, "counts": dict(step.counts)} for step in steps]
