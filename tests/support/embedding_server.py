"""An OpenAI-compatible embedding server on loopback, with the faults servers have."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import numpy as np

WIDTH = 24


def embedding(text: str) -> list[float]:
    """A vector any test can compute too."""
    total = np.zeros(WIDTH)
    for word in text.split():
        total += np.random.default_rng(crc32(word.encode())).normal(size=WIDTH)
    return [float(one) for one in total]


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
    asked: list[tuple[dict[str, Any], dict[str, str]]] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body."""
        if self.busy > 0:
            self.busy -= 1
            return 503, b"busy"
        if self.body is not None or self.status != 200:
            return self.status, self.body or b"{}"
        rows = [
            {"object": "embedding", "index": index, "embedding": embedding(text)[: self.width]}
            for index, text in enumerate(request["input"])
        ]
        data = rows[::-1] if self.turned else rows
        return 200, json.dumps({"object": "list", "data": data, "model": request["model"]}).encode()


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
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
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
