"""OpenAI-compatible embedding servers as a model: `openai:MODEL@http://host:8000/v1,http://host2:8000/v1`."""

from __future__ import annotations

import json
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import urllib3
from numpy.typing import NDArray

from node.encoders.answering_model import AnsweringModel
from node.encoders.encoder import EncoderError
from node.encoders.endpoint_answer import answered_rows, retry_after_s
from node.encoders.endpoint_servers import AT_ONCE_PER_SERVER, NoServerError, Server, Servers

KEY_VARIABLES: Final = ("DELTAMESH_MODEL_API_KEY", "OPENAI_API_KEY")
"""Environment variables a key is taken from, the first that is set; it is never written anywhere."""
BATCH_VIEWS: Final = 64
"""Views of one request."""
BATCH_VIEWS_MIN: Final = 8
"""Fewer are not split among servers."""
TRIES: Final = 4
"""Of one batch, over all servers."""
TIMEOUT: Final = urllib3.Timeout(connect=3.0, read=20.0)
ANSWER_WITHIN_S: Final = 25.0
"""For all tries of one batch: less than a model may be silent for, so that its process is not ended for a
server's sake."""
ANSWER_BYTES_MAX: Final = 128 << 20
_CHUNK_BYTES: Final = 1 << 18
_AGAIN: Final = (429, 500, 502, 503, 504)
_NO_BASE64: Final = (400, 415, 422)


class EndpointModel(AnsweringModel):
    """One or many servers of one model. A batch that fails on one is asked again, elsewhere if it can be.

    A server that failed is left out for a while and then tried again, one request at a time.
    """

    def __init__(self, target: str) -> None:
        super().__init__(f"openai:{target}")
        model, at, places = target.partition("@http")  # an @ may be in the name of a model, or in an address
        self._model = model
        urls = [_checked_url(place, self.name) for place in (at[1:] + places).split(",")] if model else []
        if not urls:
            raise EncoderError(f"'{self.name}' names no server: write openai:MODEL@http://host:port/v1")
        self._servers = Servers(urls)
        self._encoding = "base64"
        at_once = AT_ONCE_PER_SERVER * len(urls)
        self.views_at_once = BATCH_VIEWS * at_once
        self._pool = urllib3.PoolManager(maxsize=at_once, block=True, retries=False, timeout=TIMEOUT)
        weakref.finalize(self, self._pool.clear)
        self._workers = ThreadPoolExecutor(at_once, thread_name_prefix="endpoint")

    def _answer(self, views: list[Any]) -> NDArray[np.float32]:
        size = min(BATCH_VIEWS, max(BATCH_VIEWS_MIN, ceil(len(views) / len(self._servers.all))))
        batches = [views[start : start + size] for start in range(0, len(views), size)]
        asked = [self._workers.submit(self._ask, batch) for batch in batches]
        try:
            parts = [one.result() for one in asked]
        except BaseException:
            for one in asked:
                one.cancel()
            raise
        widths = {rows.shape[1]: url for url, rows in parts}
        if len(widths) > 1:
            told = ", ".join(
                f"{url} returns rows of {width} numbers" for width, url in sorted(widths.items())
            )
            raise EncoderError(f"{told}: serve one model")
        return np.concatenate([rows for _, rows in parts])

    def _ask(self, batch: list[str]) -> tuple[str, NDArray[np.float32]]:
        until_s, refused, reason = monotonic() + ANSWER_WITHIN_S, set[Server](), ""
        for _ in range(TRIES):
            try:
                server = self._servers.take(until_s, refused)
            except NoServerError as error:
                raise EncoderError(f"{self.name} has no server to ask: {error}") from None
            try:
                rows = self._from(server.url, batch, until_s)
            except _TryAgainError as error:
                reason = str(error)
                self._servers.failed(server, reason, error.after_s)
            except EncoderError as error:
                self._servers.failed(server, str(error))
                refused.add(server)
                if len(refused) == len(self._servers.all):
                    raise
                reason = str(error)
            except BaseException as error:
                self._servers.failed(server, f"{server.url}: {type(error).__name__}")
                raise
            else:
                self._servers.answered(server)
                return server.url, rows
        raise EncoderError(f"{self.name} does not answer after {TRIES} tries: {reason}")

    def _from(self, url: str, batch: list[str], until_s: float) -> NDArray[np.float32]:
        status, after, data = self._posted(url, batch, until_s)
        if status in _NO_BASE64 and self._encoding == "base64":
            # Not all servers know it. What such a status means otherwise, the second answer says as well.
            self._encoding = "float"
            status, after, data = self._posted(url, batch, until_s)
        if status in _AGAIN:
            after_s = retry_after_s(after)
            told = "" if after_s is None else f" and asks to wait {after_s:.0f} s"
            raise _TryAgainError(f"{url} answers {status}{told}", after_s)
        if status != 200:
            said = _without_key(data[:300].decode("utf-8", "replace").strip())
            raise EncoderError(f"{url} refuses with {status}: {said}{_key_hint(status)}")
        if len(data) > ANSWER_BYTES_MAX:
            raise EncoderError(f"{url} answers {len(batch)} views with over {ANSWER_BYTES_MAX >> 20} MiB")
        return answered_rows(data, len(batch), url)

    def _posted(self, url: str, batch: list[str], until_s: float) -> tuple[int, str | None, bytes]:
        """Status, Retry-After, and at most one byte more of the body than an answer may have."""
        body = json.dumps({"model": self._model, "input": batch, "encoding_format": self._encoding})
        try:
            response = self._pool.request(
                "POST",
                f"{url}/embeddings",
                body=body,
                headers=_headers(),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            data = bytearray()
            try:
                while len(data) <= ANSWER_BYTES_MAX and (chunk := response.read1(_CHUNK_BYTES)):
                    data += chunk
                    if monotonic() > until_s:
                        raise _TryAgainError(f"{url} was still answering after {ANSWER_WITHIN_S:g} s")
            except BaseException:
                response.close()
                raise
            if len(data) > ANSWER_BYTES_MAX:
                response.close()  # what is left on the line must not be read as the next answer
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise _TryAgainError(f"{url}: {type(error).__name__}: {error}") from None
        return response.status, response.headers.get("Retry-After"), bytes(data)


class _TryAgainError(Exception):
    """A failure that may pass; `after_s` is when, if the server says so."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def _key() -> str | None:
    """Raises EncoderError, which does not hold it, for a key that no header can hold."""
    for name in KEY_VARIABLES:
        if value := os.environ.get(name, "").strip():
            if not (value.isascii() and value.isprintable()):
                raise EncoderError(f"the key in {name} holds characters that no key has: set it anew")
            return value
    return None


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    key = _key()
    return headers if key is None else headers | {"Authorization": f"Bearer {key}"}


def _without_key(said: str) -> str:
    """What a server said, which may repeat the key it was given, fit for a log."""
    key = _key()
    return said if key is None else said.replace(key, "[the key]")


def _key_hint(status: int) -> str:
    return f"; set its key in {KEY_VARIABLES[0]}" if status in (401, 403) else ""


def _checked_url(place: str, name: str) -> str:
    parts = urlsplit(place.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise EncoderError(f"'{place}' in {name[:200]} is no server: write http://host:port/v1")
    if parts.username or parts.password:
        raise EncoderError(f"an address must not hold a password: set its key in {KEY_VARIABLES[0]}")
    return place.strip().rstrip("/")
