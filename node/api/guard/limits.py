"""Every bound of the HTTP API in one place: sizes, counts, times, and what a request costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EMBEDDINGS: Final = "/v1/embeddings"
EVENTS: Final = "/v1/events"
HEALTH: Final = "/healthz"
PAGE: Final = "/"
ASSETS: Final = "/static/"


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: how fast it fills, and how much it holds."""

    units_per_s: float
    units_max: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server. Tests make them small."""

    path_bytes_max: int = 1_024
    query_bytes_max: int = 4_096
    headers_max: int = 64
    head_bytes_max: int = 16_384
    """Request line and headers together."""

    body_bytes_max: int = 65_536
    embeddings_bytes_max: int = 4 << 20
    bodies_bytes_max: int = 64 << 20
    """All request bodies held at one time."""
    json_depth_max: int = 32
    json_elements_max: int = 8_192
    """Values in one JSON body, objects and arrays among them; an object's name counts with its value."""

    requests_max: int = 768
    """Requests under way at one time, listeners to events apart; 512 of them may wait for certificates."""
    listeners_per_client_max: int = 32
    """Listeners to events of one client; on loopback `listeners_max` alone holds."""
    listeners_max: int = 1_536
    connections_max: int = 2_048
    connections_per_address_max: int = 64
    """Of an address elsewhere; on loopback `connections_max` alone holds."""
    pipelined_max: int = 16
    """Requests of one connection that wait for an earlier one's answer."""

    head_s: float = 10.0
    """From the first byte of a request, or from connecting, to the end of its headers."""
    body_s: float = 60.0
    """From the end of the headers to the end of the body."""
    write_s: float = 20.0
    """How long a client may leave an answer unread."""
    linger_s: float = 2.0
    """After a refusal the rest of the request is read and dropped so long: else the answer would be lost."""

    clients_max: int = 4_096
    """Clients whose use is remembered; the one longest unseen is forgotten first."""
    local: Rate = Rate(1_000, 4_000)
    """Of a client on the machine itself."""
    known: Rate = Rate(250, 4_000)
    """Of a token."""
    stranger: Rate = Rate(50, 500)
    """Of an address elsewhere."""

    def body_max(self, path: str) -> int:
        """Bytes the body of a request to this path may have."""
        return self.embeddings_bytes_max if path == EMBEDDINGS else self.body_bytes_max


# What one request takes out of the bucket, beside the 1 of any request.
COSTS: Final = {
    "/v1/search": 9,
    "/v1/map": 19,
    "/metrics": 4,
    "/openapi.json": 4,
}
LARGE_SUFFIXES: Final = ("/bundle", "/body")
"""Ends of paths under which megabytes are served."""
LARGE_COST: Final = 24
TEXT_COST: Final = 1
FILE_COST: Final = 32
"""Of an input to embed: reading a picture of 49 million pixels, 140 KB as PNG, takes a core 0.7 s."""
CHARGED_BYTES: Final = 65_536
"""Of a body: so many take one unit more."""
BAD_TOKEN_COST: Final = 49
"""Guessing is hopeless; this keeps it from being a load."""


def cost_of(path: str) -> int:
    """Units a request takes before its body is read; each input to embed is one more."""
    if path.endswith(LARGE_SUFFIXES):
        return 1 + LARGE_COST
    return 1 + COSTS.get(path, 0)
