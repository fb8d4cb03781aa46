"""`deltamesh doctor`: what is wrong with this node, its machine and its network, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption
from node.cli.output import counted, print_json, printable, say

if TYPE_CHECKING:
    from node.doctor.examining import Examined
    from node.doctor.finding import Finding
    from node.doctor.registry import Check

MARKS: Final = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}


def doctor(
    home: HomeOption = None,
    network: NetworkOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CHECK", help="Look at this alone. Repeatable.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Dial no peers.", show_default=False)] = False,
    json_: JsonOption = False,
) -> None:
    """Look for what is wrong with this node, its machine and its network. Changes nothing.

    Every finding says what was seen, why it matters and what to do. Exit code 3 when one is an error.
    """
    import time

    began_s = time.monotonic()
    try:
        from node.doctor.examining import examine
        from node.doctor.finding import Verdict
        from node.doctor.registry import CHECKS
        from node.doctor.subject import Reach, subject_of
    except ImportError:
        if not _told_shadowed(json_):
            raise
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    checks = _chosen(CHECKS, only or [])
    subject = subject_of(home, network, Reach.OFFLINE if offline else Reach.NETWORK)
    examined = examine(subject, checks)
    if json_:
        print_json(_document(examined, str(subject.directory.root), time.monotonic() - began_s))
    else:
        _print(examined, time.monotonic() - began_s)
    if any(one.verdict is Verdict.ERROR for one in examined):
        raise typer.Exit(ExitCode.BAD_INPUT)


def _chosen(checks: Sequence[Check], names: Sequence[str]) -> list[Check]:
    known = [check.name for check in checks]
    for name in names:
        if name not in known:
            from config.errors import nearest_hint

            raise CommandError(f"there is no check '{name[:80]}'{nearest_hint(name, known)}", ExitCode.USAGE)
    return [check for check in checks if not names or check.name in names]


def _print(examined: Sequence[Examined], took_s: float) -> None:
    group = None
    for one in examined:
        if one.check.group is not group:
            say(("" if group is None else "\n") + one.check.group.value)
            group = one.check.group
        for finding in one.findings:
            _print_finding(finding)
    counts = _counts(examined)
    told = ", ".join(counted(counts[name], name) for name in ("error", "warning", "note") if counts[name])
    say(f"\n{counted(len(examined), 'check')} in {took_s:.1f} s: {told or 'nothing is wrong'}.")


def _print_finding(finding: Finding) -> None:
    say(f"  {MARKS[finding.verdict.value]} {finding.check:<11} {printable(finding.seen)}")
    if finding.why:
        say(f"{'':<16}{printable(finding.why)}")
    if finding.remedy:
        say(f"{'':<14}→ {printable(finding.remedy)}")


def _document(examined: Sequence[Examined], directory: str, took_s: float) -> dict[str, object]:
    return {
        "directory": directory,
        "verdict": max((one.verdict for one in examined), key=lambda verdict: verdict.rank).value,
        "counts": _counts(examined),
        "elapsed_s": round(took_s, 3),
        "findings": [
            _as_json(finding, one.check.group.value) for one in examined for finding in one.findings
        ],
    }


def _counts(examined: Sequence[Examined]) -> dict[str, int]:
    verdicts = [finding.verdict.value for one in examined for finding in one.findings]
    return {name: verdicts.count(name) for name in MARKS}


def _as_json(finding: Finding, group: str) -> dict[str, Any]:
    return {
        "check": finding.check,
        "group": group,
        "verdict": finding.verdict.value,
        "seen": finding.seen,
        "why": finding.why,
        "remedy": finding.remedy,
    }


def _told_shadowed(json_: bool) -> bool:
    """Whether a stranger in a package's place was found, and told: then nothing but this can be imported."""
    from node.doctor import packages
    from node.doctor.finding import Verdict

    shadowed = [finding for finding in packages.check() if finding.verdict is Verdict.ERROR]
    if json_ and shadowed:
        print_json({"verdict": "error", "findings": [_as_json(finding, "software") for finding in shadowed]})
    elif shadowed:
        for finding in shadowed:
            _print_finding(finding)
    return bool(shadowed)
