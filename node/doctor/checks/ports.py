"""The ports the node listens on: free, or held by this very node."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from config.settings import Settings
from node.doctor.finding import Finding, error, ok
from node.doctor.subject import Role, Subject
from node.status import NodeStatus

_NAME: Final = "ports"
_LISTENS: Final = "0A"
_NAMES_LENGTH_MAX: Final = 80


class Outcome(Enum):
    """What came of trying a port, without listening on it."""

    FREE = "free"
    TAKEN = "taken"
    FORBIDDEN = "forbidden"
    """Ports under 1024 are the system's."""
    NOT_HERE = "not here"
    """The address is none of this machine's."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place the node listens on, and the setting that says so."""

    key: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A wanted port, what came of it, and who has it (empty: not known)."""

    wanted: Wanted
    outcome: Outcome
    holder: str = ""


def check(subject: Subject) -> list[Finding]:
    """Try each fixed port."""
    wanted = wanted_ports(subject.settings, subject.role)
    return judge([tried(one) for one in wanted], subject.running())


def wanted_ports(settings: Settings, role: Role) -> list[Wanted]:
    """The fixed ports that a node of this role opens; those the system chooses are always free."""
    found = []
    if role is not Role.ENCODER or settings.is_given("listen"):
        for address in settings.listen:
            _, _, host, _, port = address.split("/")[:5]
            found.append(Wanted("listen", host, int(port)))
    key, place = ("metrics", settings.metrics) if role is Role.ENCODER else ("api", settings.api)
    if place != "off":
        host, _, port = place.rpartition(":")
        found.append(Wanted(key, host.strip("[]"), int(port)))
    return [one for one in found if one.port]


def judge(them: Iterable[Tried], running: NodeStatus | None) -> list[Finding]:
    """Whether the node can open each, or has it open."""
    found, fine = [], []
    own = _own_ports(running)
    for one in them:
        place = f"{one.wanted.host}:{one.wanted.port}"
        other = f"choose another port for {one.wanted.key}, or 0 to let the system choose"
        match one.outcome:
            case Outcome.FREE:
                fine.append(f"{place} is free ({one.wanted.key})")
            case Outcome.TAKEN if one.wanted.port in own:
                fine.append(f"{place} is held by this node ({one.wanted.key})")
            case Outcome.TAKEN:
                by = f" by {one.holder}" if one.holder else ""
                why = "two programs cannot listen on one port: the node does not start"
                found.append(
                    error(_NAME, f"{place} is taken{by} ({one.wanted.key})", why, f"stop it, or {other}")
                )
            case Outcome.FORBIDDEN:
                why = "ports under 1024 need a privilege that a node should not have"
                found.append(error(_NAME, f"{place} is not permitted ({one.wanted.key})", why, other))
            case Outcome.NOT_HERE:
                why = "a node listens on addresses of its machine; --announce is for those of a router"
                remedy = f"set {one.wanted.key} to 0.0.0.0, or an address that `ip address` shows"
                found.append(error(_NAME, f"{place} is no address of this machine", why, remedy))
            case Outcome.FAILED:
                found.append(error(_NAME, f"{place}: {one.holder}", "the node could not listen there", other))
    if found or fine:
        return found + [ok(_NAME, "; ".join(fine))] * bool(fine)
    return [ok(_NAME, "none is fixed: the system chooses, or the node only dials out")]


def tried(wanted: Wanted) -> Tried:
    """Bind the port for a moment, as the node would; nobody can connect meanwhile."""
    try:
        family, _, _, _, place = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as fault:
        return _failed(wanted, fault)
    return Tried(wanted, Outcome.FREE)


def _failed(wanted: Wanted, fault: OSError) -> Tried:
    match fault.errno:
        case errno.EADDRINUSE:
            return Tried(wanted, Outcome.TAKEN, holder_of(wanted.port))
        case errno.EACCES | errno.EPERM:
            return Tried(wanted, Outcome.FORBIDDEN)
        case errno.EADDRNOTAVAIL:
            return Tried(wanted, Outcome.NOT_HERE)
    return Tried(wanted, Outcome.FAILED, fault.strerror or str(fault))


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """`process 12 (name)` of who listens on a port; empty where it cannot be seen, being another user's."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{words[9]}]")
    for folder in proc.glob("[0-9]*") if sockets else ():
        try:
            if any(os.readlink(link) in sockets for link in (folder / "fd").iterdir()):
                name = (folder / "comm").read_text().strip()[:_NAMES_LENGTH_MAX]
                return f"process {folder.name} ({name})"
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return ""


def _own_ports(running: NodeStatus | None) -> set[int]:
    if running is None:
        return set()
    listening = {
        int(parts[4]) for a in running.addresses if len(parts := a.split("/")) > 4 and parts[4].isdigit()
    }
    api = (running.api or "").rpartition(":")[2]
    return listening | ({int(api)} if api.isdigit() else set())
