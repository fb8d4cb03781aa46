"""What both clients do with httpx: the address, the request, its limits, and the errors in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx

from node.client.call import ERROR_BYTES_MAX, Call, refusal
from node.client.download import Download
from node.client.errors import BadAnswerError, ClientError, TimedOutError, UnreachableError
from node.client.retrying import retry_after_s
from node.version import software_version

T = TypeVar("T")

CONNECT_S: Final = 10.0
CONNECTIONS_MAX: Final = 32
_LOOPBACK: Final = ("localhost", "127.", "::1")


def base_url(url: str) -> httpx.URL:
    """The address of an API; `host:port` stands for http. Raises ClientError."""
    text = url.strip()
    try:
        found = httpx.URL((text if "://" in text else f"http://{text}").rstrip("/"))
    except httpx.InvalidURL as error:
        raise ClientError(f"'{url[:200]}' is no address ({error}): give http://host:port") from None
    strange = found.query or found.fragment or not all(c.isprintable() and c != " " for c in text)
    if found.scheme not in ("http", "https") or not found.host or strange:
        raise ClientError(f"'{url[:200]}' is no address of an API: give http://host:port")
    return found


def client_options(address: httpx.URL, token: str | None) -> dict[str, Any]:
    """Arguments that httpx.Client and httpx.AsyncClient share. Raises ClientError."""
    # Compressed answers would have to be bounded a second time, after unpacking.
    headers = {"User-Agent": f"deltamesh/{software_version()}", "Accept-Encoding": "identity"}
    if token is not None:
        if not token.isascii() or not token.isprintable() or not token:
            raise ClientError("the token is no token: it has printable ASCII characters only")
        headers["Authorization"] = f"Bearer {token}"
    return {
        "base_url": address,
        "headers": headers,
        "timeout": httpx.Timeout(30.0, connect=CONNECT_S),
        "limits": httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        "follow_redirects": False,
        "trust_env": not address.host.startswith(_LOOPBACK),
    }


def request_options(call: Call[Any], timeout_s: float) -> dict[str, Any]:
    """Arguments of `stream` for one call."""
    options: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "headers": {"Accept": "application/json", **call.headers},
        "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
    }
    if call.params:
        options["params"] = dict(call.params)
    if call.body is not None:
        options["json"] = call.body
    return options


class Body:
    """A response's body as it arrives, within its bound and deadline."""

    def __init__(
        self, call: Call[Any], response: httpx.Response, timeout_s: float, into: Download | None = None
    ) -> None:
        self._call = call
        self._response = response
        self._bytes_max = call.bytes_max if response.is_success else ERROR_BYTES_MAX
        self._ends_s = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._into = into if response.is_success else None
        if self._into is not None:
            self._into.begin()

    def add(self, chunk: bytes) -> None:
        """The next chunk. Raises ClientError."""
        self._size_bytes += len(chunk)
        if self._size_bytes > self._bytes_max:
            raise BadAnswerError(f"the answer to {self._call.path} is larger than {self._bytes_max:,} bytes")
        if time.monotonic() > self._ends_s:
            raise _too_slow(self._call, self._timeout_s)
        if self._into is not None:
            self._into.add(chunk, _length_of(self._response))
        else:
            self._parts.append(chunk)

    def result(self) -> Any:
        """What the whole body says; of a download its size in bytes. Raises ClientError."""
        if self._into is not None:
            return self._into.finish()
        data = b"".join(self._parts)
        if self._response.is_success:
            return self._call.read(data)
        asked_s = retry_after_s(self._response.headers.get("Retry-After"), time.time())
        raise refusal(self._response.status_code, data, asked_s)


def _length_of(response: httpx.Response) -> int:
    told = response.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0


@contextmanager
def errors_in_words(address: httpx.URL, call: Call[Any], timeout_s: float) -> Iterator[None]:
    """Turns what httpx raises into ClientErrors."""
    place = f"{address.scheme}://{address.netloc.decode('ascii', 'replace')}"
    try:
        yield
    except httpx.ConnectTimeout:
        raise UnreachableError(
            f"{place} does not answer: check the address, and that a validator runs"
        ) from None
    except httpx.TimeoutException:
        raise _too_slow(call, timeout_s) from None
    except httpx.ConnectError as error:
        raise UnreachableError(
            f"nobody answers at {place} ({error}): check the address, and that a validator runs there with "
            "its API on (setting `api`)"
        ) from None
    except (httpx.TransportError, httpx.StreamError, httpx.DecodingError) as error:
        raise UnreachableError(
            f"the connection to {place} broke ({type(error).__name__}: {error}): try again"
        ) from None
    except (httpx.InvalidURL, httpx.CookieConflict) as error:
        raise ClientError(f"the request to {place} cannot be made: {error}") from None


def _too_slow(call: Call[Any], timeout_s: float) -> TimedOutError:
    return TimedOutError(
        f"no answer to {call.path} within {timeout_s:g} s: ask again, or with a longer timeout"
    )
