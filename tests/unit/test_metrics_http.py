"""An encoder's own address for its metrics: who is served, who waits for whom, what is refused."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.settings import load_settings
from node.metrics.http import open_metrics, serve_metrics
from node.metrics.registry import NodeMetrics

HEAD_BYTES_MAX = 100_000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve_metrics(NodeMetrics("encoder"), "127.0.0.1", 0) as address:
        yield address


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def get(address: str, path: str = "/metrics") -> bytes:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        data = answer.read()
        assert isinstance(data, bytes)
        return data


def test_encoder__serves_its_metrics(address: str) -> None:
    assert b'deltamesh_build_info{role="encoder"' in get(address)
    assert b"deltamesh_build_info" in get(address, "/metrics?x=1")


def test_other_paths__are_not_there(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as failed:
        get(address, "/etc/passwd")
    with closing(failed.value):
        assert failed.value.code == 404
        assert b"/metrics" in failed.value.read()


def test_who_says_nothing__holds_up_nobody_for_long(address: str) -> None:
    with connect(address):
        assert get(address)


def test_who_hangs_up_early__costs_nothing(address: str) -> None:
    for _ in range(3):
        with connect(address) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert get(address)


@given(st.binary(max_size=400))
def test_any_bytes__leave_it_serving(address: str, data: bytes) -> None:
    with connect(address) as client:
        client.sendall(data + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        received = 0
        try:
            while part := client.recv(65_536):
                received += len(part)
        except ConnectionResetError:
            pass  # closed with some of the bytes unread
    assert received < HEAD_BYTES_MAX


def test_endless_header__is_refused(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n")
        assert b" 431 " in client.recv(1_000)


def test_address_in_use__is_an_error_that_says_what_to_do(address: str) -> None:
    host, _, port = address.rpartition(":")
    with (
        pytest.raises(ConfigError, match="choose another address with --metrics"),
        serve_metrics(NodeMetrics("encoder"), host, int(port)),
    ):
        pass


def test_setting__off_serves_nothing() -> None:
    with open_metrics(NodeMetrics("encoder"), "off") as address:
        assert address == "off"


def test_setting__port_0_is_the_systems_choice() -> None:
    with open_metrics(NodeMetrics("encoder"), "127.0.0.1:0") as address:
        assert not address.endswith(":0")
        assert get(address)


def test_setting__that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="metrics from flag --metrics: 'everywhere' is no host:port"):
        load_settings({"metrics": "everywhere"}, environment={})
