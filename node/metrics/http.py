"""The metrics over HTTP for nodes without an API: one small server in a thread, on its own address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

import structlog

from config.errors import ConfigError
from node.metrics.registry import CONTENT_TYPE, NodeMetrics

OFF: Final = "off"
PATH: Final = "/metrics"
REQUEST_WITHIN_S: Final = 2.0
"""Scrapes are answered one at a time: who sends slowly holds up the next one for so long."""

log = structlog.get_logger(__name__)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_WITHIN_S
    server_version = "deltamesh"
    sys_version = ""
    metrics: NodeMetrics

    def do_GET(self) -> None:
        """The metrics at /metrics, nothing anywhere else."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"the metrics are at {PATH}")
            return
        body = self.metrics.exposition()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is no news."""


class _Server(HTTPServer):
    request_queue_size = 16

    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up or is too slow gets no answer; the next one does."""
        log.debug("metrics.unanswered", client=str(client_address))


class _Server6(_Server):
    address_family = socket.AF_INET6


def open_metrics(metrics: NodeMetrics, setting: str) -> AbstractContextManager[str]:
    """Serve where the setting says, if it is not `off`. Raises ConfigError."""
    if setting == OFF:
        return nullcontext(OFF)
    host, _, port = setting.rpartition(":")
    return serve_metrics(metrics, host.strip("[]"), int(port))


@contextmanager
def serve_metrics(metrics: NodeMetrics, host: str, port: int) -> Iterator[str]:
    """Serve until the block ends; gives `host:port` as it is in use. Raises ConfigError if it cannot be."""
    handler = type("_NodeHandler", (_Handler,), {"metrics": metrics})
    try:
        server = (_Server6 if ":" in host else _Server)((host, port), handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"metrics cannot be served on {host}:{port} ({error}): choose another address with --metrics, "
            "or port 0 to let the system choose"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    address = f"{host}:{server.server_address[1]}"
    log.info("metrics.ready", address=address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
