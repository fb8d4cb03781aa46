"""Dialling the peers a node would dial, as a stranger with a key of the moment; asking each for its time."""

from __future__ import annotations

import errno
import secrets
import socket
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import trio

from config.errors import ConfigError
from node.clock import now_ms
from node.clock_telling import ANSWER_BYTES as CLOCK_BYTES
from node.clock_telling import METHOD as CLOCK_METHOD
from node.clock_telling import clock_told
from node.dial_back import ANSWER_BYTES as REACHED_BYTES
from node.dial_back import METHOD as DIAL_BACK_METHOD
from node.dial_back import PORT_MIN, TRY_S, Reached, reached_by
from node.dial_back import question as dial_back_question
from node.keys import load_key, peer_id
from node.membership import address_of_member
from node.network.errors import DialError, RequestError
from node.network.host import Host, open_host
from node.network.limits import NetworkLimits

if TYPE_CHECKING:
    from node.doctor.subject import Subject

VISITS_MAX: Final = 24
"""Peers dialled; of a large network the bootstrap peers and the first validators."""
ALL_WITHIN_S: Final = 12.0
DIAL_S: Final = 5.0
ASK_S: Final = 2.0
PROBE_S: Final = 2.0
_PEER: Final = "/p2p/"


class Outcome(Enum):
    """What came of dialling one peer."""

    ANSWERS = "answers"
    """It proved its key."""
    NO_NAME = "no name"
    """Its host name has no address."""
    REFUSED = "refused"
    """The machine is there, and nothing listens on the port."""
    SILENT = "silent"
    """No answer at all: off, or behind a firewall."""
    UNREACHABLE = "unreachable"
    """There is no way there from this machine."""
    WRONG_KEY = "wrong key"
    """Somebody else answers there."""
    NO_HANDSHAKE = "no handshake"
    """Something listens there, and does not speak the protocol, or turned the stranger away."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One peer: where it was dialled, what came of it, and how far its clock is ahead of ours."""

    address: str
    outcome: Outcome
    reason: str = ""
    ahead_ms: float | None = None
    """None where it was not told."""
    uncertain_ms: float = 0.0
    """Half the time the question and its answer took."""
    reached: Reached | None = None
    """Whether the peer found our node at our port; None where it was not asked, or did not say."""


def visit_all(subject: Subject) -> tuple[Visit, ...]:
    """Dial every peer at once, for so long at most; in the order of `addresses_to_visit`."""
    addresses = addresses_to_visit(subject)
    port, running = port_to_reach(subject), subject.running()
    asked = None
    if port is not None and running is not None:
        asked = dial_back_question(port, bytes.fromhex(running.public_key))
    return trio.run(visit, addresses, asked) if addresses else ()


def port_to_reach(subject: Subject) -> int | None:
    """The port at which others dial the running node; None where it does not run, or listens nowhere."""
    running = subject.running()
    if running is None or not running.addresses:
        return None
    ports = [int(address.split("/")[4]) for address in (*subject.settings.announce, *running.addresses)]
    return next((port for port in ports if port >= PORT_MIN), None)


def addresses_to_visit(subject: Subject) -> tuple[str, ...]:
    """Bootstrap peers, then the validators of genesis; neither twice, and not this node itself."""
    try:
        me = load_key(subject.directory.key).peer_id
    except ConfigError:
        me = ""
    found = list(subject.settings.bootstrap)
    genesis = subject.genesis()
    for key, member in () if genesis is None else genesis.validators.items():
        for address in member.addresses[:1]:
            try:
                found.append(address_of_member(address, key))
            except ConfigError:
                found.append(f"{address.partition(_PEER)[0]}{_PEER}{peer_id(key)}")
    others = dict.fromkeys(address for address in found if not me or not address.endswith(me))
    return tuple(others)[:VISITS_MAX]


async def visit(addresses: tuple[str, ...], dial_back: bytes | None = None) -> tuple[Visit, ...]:
    """Dial these at once, ask who answers for the time, and this of `dial_back`; in the same order."""
    visits = {
        address: Visit(address, Outcome.SILENT, f"no answer within {ALL_WITHIN_S:g} s")
        for address in addresses
    }
    # Not with the node's own key: its peers would take us for it, and drop the one or the other.
    async with open_host(secrets.token_bytes(32), [], limits=NetworkLimits(dial_s=DIAL_S)) as host:

        async def one(address: str) -> None:
            visits[address] = await _visit_one(host, address, dial_back)

        with trio.move_on_after(ALL_WITHIN_S):
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(one, address)
    return tuple(visits.values())


async def _visit_one(host: Host, address: str, dial_back: bytes | None) -> Visit:
    try:
        key = await host.dial(address)
    except DialError as fault:
        reason = str(fault)
        if "has another key" in reason:
            return Visit(address, Outcome.WRONG_KEY, reason)
        return await why(address, reason)
    ahead_ms, uncertain_ms = await _ahead(host, key)
    reached = None if dial_back is None else await _reached(host, key, dial_back)
    return Visit(address, Outcome.ANSWERS, "", ahead_ms, uncertain_ms, reached)


async def _ahead(host: Host, key: bytes) -> tuple[float | None, float]:
    """How far a peer's clock is ahead of ours, and how far that may be wrong, in milliseconds."""
    asked_ms, asked_s = now_ms(), trio.current_time()
    try:
        answer = await host.request(key, CLOCK_METHOD, b"", timeout_s=ASK_S, response_bytes_max=CLOCK_BYTES)
    except RequestError:
        return None, 0.0  # it has no room for strangers, or its version is older
    half_ms = (trio.current_time() - asked_s) * 500
    told_ms = clock_told(answer)
    return None if told_ms is None else told_ms - (asked_ms + half_ms), half_ms


async def _reached(host: Host, key: bytes, asked: bytes) -> Reached | None:
    try:
        answer = await host.request(
            key, DIAL_BACK_METHOD, asked, timeout_s=TRY_S + ASK_S, response_bytes_max=REACHED_BYTES
        )
    except RequestError:
        return None
    return reached_by(answer)


async def why(address: str, reason: str) -> Visit:
    """A dial that failed, for that reason: where it failed, at the name, route, port or handshake."""
    _, _, name, _, port = address.split("/")[:5]
    with trio.move_on_after(PROBE_S):
        try:
            stream = await trio.open_tcp_stream(name, int(port), happy_eyeballs_delay=0.1)
        except socket.gaierror as fault:
            return Visit(address, Outcome.NO_NAME, fault.strerror or str(fault))
        except OSError as fault:
            return Visit(address, _outcome_of(fault), reason)
        await stream.aclose()
        return Visit(address, Outcome.NO_HANDSHAKE, reason)
    return Visit(address, Outcome.SILENT, reason)


def _outcome_of(fault: BaseException) -> Outcome:
    """trio tells of one OSError after another, in a group behind its own."""
    causes: list[BaseException] = [fault]
    while causes:
        cause = causes.pop()
        match cause:
            case OSError(errno=errno.ECONNREFUSED):
                return Outcome.REFUSED
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return Outcome.UNREACHABLE
            case BaseExceptionGroup():
                causes += cause.exceptions
        causes += [behind for behind in (cause.__cause__,) if behind is not None]
    return Outcome.SILENT
