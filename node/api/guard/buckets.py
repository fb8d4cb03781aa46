"""Token buckets: one for each client, who is its token or else its address."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from node.api.errors import ApiError
from node.api.guard.limits import Limits, Rate

HOSTS_KEPT: Final = 1_024
"""Addresses that are not read anew with every request."""
_IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that name a client: the rest is for one household to choose."""


@dataclass(slots=True)
class _Bucket:
    units: float
    at_s: float


class Buckets:
    """The buckets of all clients, bounded: the one longest unseen makes room. On one thread."""

    def __init__(self, clients_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients_max = clients_max
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, units: int, rate: Rate) -> float:
        """Take units; 0, or the seconds until they are there, and then nothing is taken.

        What costs more than a bucket holds takes a full one: it is allowed, but not soon again.
        """
        now_s = self._clock()
        wanted = min(units, rate.units_max)
        bucket = self._refilled(client, now_s, rate)
        if bucket.units >= wanted:
            bucket.units -= wanted
            return 0.0
        return (wanted - bucket.units) / rate.units_per_s

    def _refilled(self, client: str, now_s: float, rate: Rate) -> _Bucket:
        bucket = self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= self._clients_max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[client] = _Bucket(rate.units_max, now_s)
        self._buckets.move_to_end(client)
        bucket.units = min(rate.units_max, bucket.units + max(0.0, now_s - bucket.at_s) * rate.units_per_s)
        bucket.at_s = now_s
        return bucket


def client_of(host: str, token: str | None) -> str:
    """The name a client is counted under: its token, its IPv4 address, or its IPv6 network."""
    return _network_of(host) if token is None else f"token {token}"


# Reading an address takes longer than all that is asked about it.
@lru_cache(maxsize=HOSTS_KEPT)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return str(mapped)
    if address.version == 6:
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


@lru_cache(maxsize=HOSTS_KEPT)
def is_local(host: str) -> bool:
    """Whether an address is of this machine itself; one that is no IP address (a socket file) is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def rate_of(host: str, token: str | None, limits: Limits) -> Rate:
    """How fast the bucket of a client fills."""
    if token is not None:
        return limits.known
    return limits.local if is_local(host) else limits.stranger


def too_fast(wait_s: float, rate: Rate) -> ApiError:
    """The refusal of who has to wait."""
    whole_s = max(1, math.ceil(wait_s))
    return ApiError(
        429,
        f"too much was asked at once, the rate is {rate.units_per_s:g} units a second: wait {whole_s} s",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(whole_s)},
    )
