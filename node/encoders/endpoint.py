"""OpenAI-compatible embedding servers as a model: `openai:MODEL@http://host:8000/v1,http://host2:8000/v1`."""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

import msgspec
import numpy as np
import urllib3
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.answers import checked_rows
from node.encoders.encoder import EncoderError, View, as_texts, unit_rows

KEY_VARIABLES: Final = ("DELTAMESH_MODEL_API_KEY", "OPENAI_API_KEY")
"""Environment variables a key is taken from, the first that is set; it is never written anywhere."""
BATCH_VIEWS: Final = 64
AT_ONCE_PER_SERVER: Final = 4
TRIES: Final = 4
PAUSE_S: Final = 0.25
"""Before the second try; twice as long before each that follows."""
TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=60.0)
ANSWER_BYTES_MAX: Final = 128 << 20
_AGAIN: Final = (429, 500, 502, 503, 504)


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Row]


class EndpointModel:
    """One or many servers of one model. A batch that fails on one is asked again, there and at the next."""

    def __init__(self, target: str) -> None:
        self.name = f"openai:{target}"
        model, at, places = target.partition("@http")  # an @ may be in the name of a model, or in an address
        self._model = model
        self._urls = (
            [_checked_url(place, self.name) for place in (at[1:] + places).split(",")] if model else []
        )
        if not self._urls:
            raise EncoderError(f"'{self.name}' names no server: write openai:MODEL@http://host:port/v1")
        self._dimensions: int | None = None
        at_once = AT_ONCE_PER_SERVER * len(self._urls)
        self._pool = urllib3.PoolManager(maxsize=at_once, block=True, retries=False, timeout=TIMEOUT)
        weakref.finalize(self, self._pool.clear)
        self._workers = ThreadPoolExecutor(at_once, thread_name_prefix="endpoint")

    @property
    def dimensions(self) -> int:
        """What the first server returns for one short view."""
        if self._dimensions is None:
            self.embed(("a",))
        assert self._dimensions is not None
        return self._dimensions

    def fingerprint(self) -> bytes:
        """Digest of the model's name and of the direction it gives one view, roughly."""
        rows = np.nan_to_num(self.embed(("The quick brown fox jumps over the lazy dog.",)))
        return blake3(self._model.encode() + np.rint(rows * 50).astype("<i2").tobytes()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, d] float32 at unit norm. Raises EncoderError when no server answers."""
        if not views:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        texts = as_texts(views, self.name)
        batches = [texts[start : start + BATCH_VIEWS] for start in range(0, len(texts), BATCH_VIEWS)]
        first_at = cycle(range(len(self._urls)))
        asked = [self._workers.submit(self._ask, batch, next(first_at)) for batch in batches]
        try:
            parts = [one.result() for one in asked]
        except BaseException:
            for one in asked:
                one.cancel()
            raise
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise EncoderError(
                f"{self.name}: its servers return rows of {sorted(widths)} numbers: serve one model"
            )
        rows = checked_rows(np.concatenate(parts), len(views), self.name, self._dimensions)
        self._dimensions = rows.shape[1]
        return unit_rows(rows)

    def _ask(self, batch: list[str], first: int) -> NDArray[np.float32]:
        reason = ""
        for attempt in range(TRIES):
            url = self._urls[(first + attempt) % len(self._urls)]
            try:
                return self._from(url, batch)
            except _TryAgainError as error:
                reason = str(error)
                time.sleep(PAUSE_S * 2**attempt)
        raise EncoderError(f"{self.name} does not answer after {TRIES} tries: {reason}")

    def _from(self, url: str, batch: list[str]) -> NDArray[np.float32]:
        body = json.dumps({"model": self._model, "input": batch, "encoding_format": "float"})
        try:
            response = self._pool.request(
                "POST",
                f"{url}/embeddings",
                body=body,
                headers=_headers(),
                redirect=False,
                preload_content=False,
            )
            try:
                data = response.read(ANSWER_BYTES_MAX + 1)
                if len(data) > ANSWER_BYTES_MAX:
                    response.close()  # what is left on the line must not be read as the next answer
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise _TryAgainError(f"{url}: {type(error).__name__}: {error}") from None
        if response.status in _AGAIN:
            raise _TryAgainError(f"{url} answers {response.status}")
        if response.status != 200:
            said = data[:300].decode("utf-8", "replace").strip()
            raise EncoderError(f"{url} refuses with {response.status}: {said}{_key_hint(response.status)}")
        if len(data) > ANSWER_BYTES_MAX:
            raise EncoderError(f"{url} answers {len(batch)} views with over {ANSWER_BYTES_MAX >> 20} MiB")
        return _rows(data, len(batch), url)


class _TryAgainError(Exception):
    """A failure that may pass."""


def _rows(data: bytes, views: int, url: str) -> NDArray[np.float32]:
    try:
        found = sorted(msgspec.json.decode(data, type=_Answer).data, key=lambda row: row.index)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EncoderError(
            f"{url} does not answer as an OpenAI-compatible server ({error}): "
            "check that it serves /v1/embeddings"
        ) from None
    if [row.index for row in found] != list(range(views)):
        raise EncoderError(f"{url} answers {len(found)} rows for {views} views: check the server's log")
    return checked_rows([row.embedding for row in found], views, url)


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    key = next((value for name in KEY_VARIABLES if (value := os.environ.get(name))), None)
    return headers if key is None else headers | {"Authorization": f"Bearer {key}"}


def _key_hint(status: int) -> str:
    return f"; set its key in {KEY_VARIABLES[0]}" if status in (401, 403) else ""


def _checked_url(place: str, name: str) -> str:
    parts = urlsplit(place.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise EncoderError(f"'{place}' in {name[:200]} is no server: write http://host:port/v1")
    if parts.username or parts.password:
        raise EncoderError(f"an address must not hold a password: set its key in {KEY_VARIABLES[0]}")
    return place.strip().rstrip("/")
