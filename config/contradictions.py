"""Settings that are each allowed and do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from config.addresses import is_loopback, is_loopback_host, is_unspecified
from config.settings import Settings

_OFF = "off"


class Weight(Enum):
    """What comes of a contradiction."""

    REFUSED = "refused"
    """The node does not start."""
    UNWISE = "unwise"
    """It starts, and does something its operator hardly wants."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two settings against each other: what they say, what comes of it, what to change."""

    keys: tuple[str, ...]
    weight: Weight
    seen: str
    why: str
    remedy: str


def contradictions(settings: Settings) -> tuple[Contradiction, ...]:
    """All that is found in settings of themselves, without a look at the machine or the network."""
    return (*_api(settings), *_metrics(settings), *_addresses(settings), *_connections(settings))


def _api(settings: Settings) -> Iterator[Contradiction]:
    if settings.api == _OFF or is_loopback_host(settings.api):
        return
    if settings.api_access == "open":
        yield Contradiction(
            ("api", "api_access"),
            Weight.UNWISE,
            f"the HTTP API on {settings.api} is open to everybody who reaches it",
            "strangers can submit items, which become public, and use up the search",
            'set api_access = "auto" and make tokens (`deltamesh token new NAME`), or api = "127.0.0.1:7780"',
        )


def _metrics(settings: Settings) -> Iterator[Contradiction]:
    if settings.metrics == _OFF:
        return
    if not is_loopback_host(settings.metrics):
        yield Contradiction(
            ("metrics",),
            Weight.UNWISE,
            f"the metrics on {settings.metrics} are open to everybody who reaches it",
            "metrics ask for no token",
            'set metrics = "127.0.0.1:7781", or let a firewall admit Prometheus alone',
        )


def _addresses(settings: Settings) -> Iterator[Contradiction]:
    listens_here_only = bool(settings.listen) and all(is_loopback(address) for address in settings.listen)
    announced = [address for address in settings.announce if not is_loopback(address)]
    if announced and listens_here_only:
        yield Contradiction(
            ("announce", "listen"),
            Weight.UNWISE,
            f"others are told to dial {announced[0]}, and the node listens on {settings.listen[0]} alone",
            "a node that listens on loopback is reached by nobody else",
            'set listen = ["/ip4/0.0.0.0/tcp/7700"], with the port that is announced or forwarded',
        )
    if announced and settings.listen and all(_port(address) == 0 for address in settings.listen):
        yield Contradiction(
            ("announce", "listen"),
            Weight.UNWISE,
            f"others are told to dial {announced[0]}, and the system chooses the port at every start",
            "the port that is announced is nobody's after a restart",
            f'set a fixed port, such as listen = ["/ip4/0.0.0.0/tcp/{_port(announced[0])}"]',
        )
    ports = [_place(address) for address in settings.listen if _port(address)]
    for name, place in (("api", settings.api), ("metrics", settings.metrics)):
        if place != _OFF and any(_same(place, other) for other in ports):
            yield Contradiction(
                (name, "listen"),
                Weight.REFUSED,
                f"{name} and listen both want port {place.rpartition(':')[2]}",
                "one port has room for one of them",
                f'set another port for one of them, such as {name} = "127.0.0.1:7780"',
            )


def _connections(settings: Settings) -> Iterator[Contradiction]:
    wanted = settings.standing_validators + settings.relay_peers
    if wanted > settings.connections_max:
        yield Contradiction(
            ("connections_max", "standing_validators", "relay_peers"),
            Weight.UNWISE,
            f"an encoder keeps {wanted} peers connected, and {settings.connections_max} may be at once",
            "it dials validators again and again that it has no room for",
            f"set connections_max to {2 * wanted} or more, or standing_validators to fewer",
        )


def _port(address: str) -> int:
    return int(address.split("/")[4])


def _place(address: str) -> tuple[str, int]:
    host = address.split("/")[2]
    return ("" if is_unspecified(address) else host), _port(address)


def _same(api: str, listened: tuple[str, int]) -> bool:
    host, _, port = api.rpartition(":")
    host = host.strip("[]").replace("localhost", "127.0.0.1")
    alike = listened[0] in ("", host) or host in ("0.0.0.0", "::")
    return alike and int(port) == listened[1]
