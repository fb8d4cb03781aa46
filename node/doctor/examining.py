"""Running the checks side by side: each has a deadline, and what goes wrong in one is a finding."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from config.errors import ConfigError
from node.doctor.finding import Finding, Verdict, warning
from node.doctor.placing import placed
from node.doctor.registry import Check
from node.doctor.subject import Subject

_FINDINGS_MAX = 64
"""Of one check; of more, the worst are told."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One check and what it found, worst first."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings."""
        return max((finding.verdict for finding in self.findings), key=lambda one: one.rank)


def examine(subject: Subject, checks: Sequence[Check]) -> tuple[Examined, ...]:
    """Run the checks at once, in threads; the answer has their order, and comes by the latest deadline."""
    running = [(check, time.monotonic(), _started(check, subject)) for check in checks]
    found = ((check, _collected(check, began_s, queue)) for check, began_s, queue in running)
    return tuple(
        Examined(check, tuple(replace(one, remedy=placed(one.remedy, subject.flags)) for one in findings))
        for check, findings in found
    )


def _started(check: Check, subject: Subject) -> SimpleQueue[list[Finding]]:
    queue: SimpleQueue[list[Finding]] = SimpleQueue()

    def run() -> None:
        try:
            queue.put(check.run(subject))
        except Exception as fault:
            queue.put([_failed(check, fault)])

    # A daemon: a check that hangs must not keep the command from ending.
    threading.Thread(target=run, name=f"doctor-{check.name}", daemon=True).start()
    return queue


def _collected(check: Check, began_s: float, queue: SimpleQueue[list[Finding]]) -> tuple[Finding, ...]:
    try:
        found = queue.get(timeout=max(0.0, began_s + check.deadline_s - time.monotonic()))
    except Empty:
        found = [
            warning(
                check.name,
                f"no answer within {check.deadline_s:g} s",
                "the disk, the name service or the network hangs, or the machine is very busy",
                f"try `deltamesh doctor --only {check.name}` again when it is quieter",
            )
        ]
    worst_first = sorted(found, key=lambda finding: -finding.verdict.rank)
    return tuple(worst_first[:_FINDINGS_MAX])


def _failed(check: Check, fault: Exception) -> Finding:
    if isinstance(fault, ConfigError | OSError):
        said = str(fault)
    else:
        said = f"unexpected {type(fault).__name__}: {fault}"
    return warning(
        check.name,
        f"it could not be looked at: {said[:400]}",
        "the check itself failed, so nothing is known here",
        "mend what it names; else report it, as SECURITY.md or CONTRIBUTING.md say",
    )
