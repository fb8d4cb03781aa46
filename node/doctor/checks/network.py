"""Peers that can be dialled, whether they can dial back, and clocks that agree with theirs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from statistics import median
from typing import Final

from node.dial_back import Reached
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Reach, Role, Subject
from node.doctor.visiting import Outcome, Visit, port_to_reach
from protocol.gossip_rules import CLOCK_SKEW_MS

_TIME_ERROR: Final = 5
"""What adjtimex(2) returns for a clock that nothing keeps in step."""
_TIMEX_BYTES: Final = 512
"""More than the kernel's struct timex has on any machine."""

_REMEDIES: Final = {
    Outcome.NO_NAME: (
        "the name service knows no such host",
        "check the name, or `getent hosts NAME`; ask the operator for the address",
    ),
    Outcome.REFUSED: (
        "the machine is there, and nothing listens on that port",
        "ask its operator whether the node runs, and on which port",
    ),
    Outcome.SILENT: (
        "the machine is off, or a firewall drops what we send",
        "check the address, and firewalls on both sides; try again when its operator says it runs",
    ),
    Outcome.UNREACHABLE: (
        "this machine has no route there",
        "check the network connection, and whether IPv6 addresses are reachable from here",
    ),
    Outcome.WRONG_KEY: (
        "another node has that address now, or somebody poses as this one",
        "ask the operator for the peer id that `deltamesh keys show` prints there",
    ),
    Outcome.NO_HANDSHAKE: (
        "another program has that port, or the node there has no room for strangers",
        "check the port with its operator; members are let in before strangers",
    ),
}


def check_peers(subject: Subject) -> list[Finding]:
    """Dial them."""
    if subject.reach is Reach.OFFLINE:
        return [note("peers", "not dialled, as was asked", "", "leave out --offline")]
    return judge_peers(subject.visits(), subject.role)


def judge_peers(visits: Sequence[Visit], role: Role) -> list[Finding]:
    """Whether peers can be reached; without a single one the node is alone."""
    name = "peers"
    if not visits:
        if role is Role.NOT_SET_UP:
            return [ok(name, "none are known before a node is set up")]
        return [
            note(
                name,
                "neither genesis nor bootstrap names another peer with an address",
                "somebody has to dial this node, or it stays alone",
                "set bootstrap to an address of a member, with its /p2p/ id",
            )
        ]
    answering = [visit for visit in visits if visit.outcome is Outcome.ANSWERS]
    judged = warning if answering else error
    found = []
    for visit in visits:
        if visit.outcome is not Outcome.ANSWERS:
            why, remedy = _REMEDIES[visit.outcome]
            alone = "" if answering else ", and nobody else answers either"
            found.append(judged(name, f"{visit.address}: {visit.outcome.value}", why + alone, remedy))
    if answering:
        found.append(ok(name, f"{len(answering)} of {len(visits)} peers answer and prove their keys"))
    return found


def check_reachable(subject: Subject) -> list[Finding]:
    """Have the peers that were dialled dial back."""
    if subject.reach is Reach.OFFLINE:
        return [note("reachable", "not tried, as was asked", "", "leave out --offline")]
    if subject.role is not Role.VALIDATOR and not subject.settings.is_given("listen"):
        return [ok("reachable", "it need not be: it only dials out, as encoders do")]
    return judge_reachable(subject.visits(), port_to_reach(subject))


def judge_reachable(visits: Sequence[Visit], port: int | None) -> list[Finding]:
    """Whether one peer at least got through; each tries the address it sees this machine at."""
    name = "reachable"
    if port is None:
        return [note(name, "peers can only try while the node runs and listens")]
    answers = [visit.reached for visit in visits if visit.reached is not None]
    if not answers:
        return [note(name, f"no peer tried to connect to port {port} here")]
    through = answers.count(Reached.YES)
    if through:
        return [ok(name, f"{through} of {len(answers)} peers that tried got through to port {port} here")]
    return [
        warning(
            name,
            f"{counted_peers(len(answers))} tried to connect to port {port} here, and none got through",
            "others cannot dial this node, so it has the connections that it opens itself and no others",
            f"open port {port} in the firewall, forward it in the router; set announce if that port differs",
        )
    ]


def counted_peers(count: int) -> str:
    """`one peer`, `3 peers`."""
    return "one peer" if count == 1 else f"{count} peers"


def check_clock(subject: Subject) -> list[Finding]:
    """Against the peers' clocks, and by what the kernel says of this one."""
    visits = subject.visits() if subject.reach is Reach.NETWORK else ()
    return judge_clock(visits, kernel_keeps_time())


def judge_clock(visits: Sequence[Visit], kept: bool | None) -> list[Finding]:
    """The middle of the peers' clocks, so that one liar does not matter. `kept` in step by the kernel: None,
    if it does not say.
    """
    name = "clock"
    remedy = (
        "set it right and keep it so: `timedatectl set-ntp true`, or run chrony; in a container, on its host"
    )
    by_kernel = {True: "the kernel keeps it in step", False: "the kernel has nothing to keep it in step by"}
    told = sorted((v.ahead_ms, v.uncertain_ms) for v in visits if v.ahead_ms is not None)
    if not told:
        if kept is None:
            return [
                note(name, "no peer told its time, and the kernel does not say whether it is kept in step")
            ]
        if not kept:
            return [
                note(
                    name,
                    f"no peer told its time; {by_kernel[False]}",
                    "clocks drift by seconds a day",
                    remedy,
                )
            ]
        return [ok(name, f"{by_kernel[True]}; no peer told its time")]
    ahead_ms = median(ahead for ahead, _ in told)
    uncertain_ms = median(uncertain for _, uncertain in told)
    side = "behind" if ahead_ms > 0 else "ahead of"
    counted = counted_peers(len(told)) + (" (in the middle)" if len(told) > 1 else "")
    seen = f"{abs(ahead_ms) / 1_000:.3f} s {side} {counted}, give or take {uncertain_ms / 1_000:.3f} s"
    off_ms = max(0.0, abs(ahead_ms) - uncertain_ms)
    if off_ms > CLOCK_SKEW_MS:
        why = f"past {CLOCK_SKEW_MS / 1_000:g} s what this node says comes too early or too late for its slot"
        return [error(name, seen, why, remedy)]
    if off_ms > CLOCK_SKEW_MS / 4:
        why = (
            f"up to {CLOCK_SKEW_MS / 1_000:g} s are borne; the time for answers is shorter by what it is off"
        )
        return [warning(name, seen, why, remedy)]
    if kept is False:
        return [note(name, f"{seen}; {by_kernel[False]}", "clocks drift by seconds a day", remedy)]
    return [ok(name, seen)]


def kernel_keeps_time() -> bool | None:
    """Whether something like NTP disciplines the clock, by adjtimex(2); None where it cannot be asked."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != _TIME_ERROR
