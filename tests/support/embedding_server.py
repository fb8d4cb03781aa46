"""An OpenAI-compatible embedding server on loopback, with the faults servers have."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

WIDTH = 24


def embedding(text: str) -> list[float]:
    """A vector any test can compute too."""
    total = np.zeros(WIDTH)
    for word in text.split():
        total += _word(word)
    return [float(one) for one in total]


@lru_cache(4096)
def _word(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(crc32(word.encode())).normal(size=WIDTH)


@dataclass
class Server:
    """Answers as told; remembers what it was asked."""

    url: str = ""
    busy: int = 0
    """So many answers with 503 come first."""
    status: int = 200
    body: bytes | None = None
    """Instead of an answer."""
    width: int = WIDTH
    turned: bool = False
    """Rows in the reverse order, with their indices."""
    retry_after: str | None = None
    """Header of every answer that is not 200."""
    knows_base64: bool | None = None
    """None: ignores what encoding it is asked for. False: refuses it with 400."""
    trickles: bool = False
    """Sends a byte at a time and never comes to an end."""
    echoes_key: bool = False
    asked: list[tuple[dict[str, Any], dict[str, str]]] = field(default_factory=list)

    model: Callable[[list[str]], list[list[float]]] | None = None
    """A real one in place of vectors any test can compute."""

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """Rows for texts."""
        if self.model is not None:
            return self.model(texts)
        return [embedding(text)[: self.width] for text in texts]

    def answer(self, request: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body."""
        if self.busy > 0:
            self.busy -= 1
            return 503, b"busy"
        if self.body is not None or self.status != 200:
            return self.status, self.body or b"{}"
        packed = request["encoding_format"] == "base64" and self.knows_base64
        if self.knows_base64 is False and request["encoding_format"] != "float":
            return 400, b"encoding_format is not supported"
        vectors = self.vectors(request["input"])
        rows = [
            {"object": "embedding", "index": index, "embedding": _packed(row) if packed else row}
            for index, row in enumerate(vectors)
        ]
        data = rows[::-1] if self.turned else rows
        return 200, json.dumps({"object": "list", "data": data, "model": request["model"]}).encode()


def _packed(row: list[float]) -> str:
    return b64encode(np.array(row, "<f4").tobytes()).decode()


@contextmanager
def embedding_server(**changes: Any) -> Iterator[Server]:
    """A server until the end of the block."""
    server = Server(**changes)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((request, dict(self.headers)))
            assert self.path == "/v1/embeddings"
            status, body = server.answer(request)
            if server.echoes_key:
                body += (self.headers["Authorization"] or "").encode()
            self.send_response(status)
            self.send_header("Content-Length", str(10**6 if server.trickles else len(body)))
            if status != 200 and server.retry_after is not None:
                self.send_header("Retry-After", server.retry_after)
            self.end_headers()
            with suppress(OSError):
                while server.trickles:
                    self.wfile.write(b" ")
                    time.sleep(0.01)
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
