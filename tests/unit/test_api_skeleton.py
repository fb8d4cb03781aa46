"""The API's thread, its health and its errors."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest
import trio
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from config.addresses import checked_api_address, is_loopback_host
from config.errors import ConfigError
from node.api.app import make_app
from node.api.errors import ErrorBody
from node.api.events import EventHub
from node.api.server import bind
from node.cli.errors import ExitCode, known_exit_code
from node.clock import now_ms
from node.status import STALE_MS, PeerStatus
from tests.support.api import api_over, service_over, status_of
from tests.support.certified_history import certified_history
from tests.support.publishing import publish
from tests.support.serving import served

PEER = PeerStatus("ab" * 32, "validator", "/ip4/127.0.0.1/tcp/1", True, 0, 0.0)


def get(address: str, path: str) -> tuple[int, bytes]:
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_server__answers_from_its_thread_and_leaves_the_port_when_it_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        events = EventHub()
        with service_over(tmp_path) as service:
            async with served(lambda: make_app(service), bind("127.0.0.1:0"), events) as address:
                status, body = await trio.to_thread.run_sync(get, address, "/healthz")
                assert (status, body) == (200, b'{"ok":true,"reasons":[]}')
        with pytest.raises(ConnectionRefusedError):
            await trio.to_thread.run_sync(get, address, "/healthz")

    trio.run(scenario)


def test_server__ends_while_somebody_listens_to_events(tmp_path: Path) -> None:
    async def scenario() -> None:
        with service_over(tmp_path) as service:
            async with served(lambda: make_app(service), bind("127.0.0.1:0"), service.events) as address:
                host, port = address.rsplit(":", 1)
                listening = socket.create_connection((host, int(port)), timeout=10)
                listening.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
                assert await trio.to_thread.run_sync(listening.recv, 15) == b"HTTP/1.1 200 OK"
                publish(service.events, "status", {"round": 1})
                with trio.fail_after(8):
                    told = b""
                    while b"event: status" not in told:
                        told += await trio.to_thread.run_sync(listening.recv, 4096)

        def rest() -> None:
            while listening.recv(4096):
                pass

        await trio.to_thread.run_sync(rest)
        listening.close()

    trio.run(scenario)


def test_server__whose_app_cannot_be_made_says_so() -> None:
    def broken() -> FastAPI:
        raise ConfigError("no app today")

    async def scenario() -> None:
        with pytest.raises(ConfigError, match="no app today"):
            async with served(broken, bind("127.0.0.1:0"), EventHub()):
                pass

    trio.run(scenario)


def test_bind__to_a_taken_port_names_the_option() -> None:
    with bind("127.0.0.1:0") as taken, pytest.raises(ConfigError, match="--api off") as refused:
        bind(f"127.0.0.1:{taken.getsockname()[1]}")
    assert known_exit_code(refused.value) is ExitCode.NETWORK


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("127.0.0.1", "no host:port"),
        ("example.org:80", "no host:port"),
        ("127.0.0.1:99999", "not a port"),
        ("127.0.0.1:-1", "not a port"),
        ("::1:80", "brackets"),
        ("[127.0.0.1]:80", "brackets"),
        ("", "no host:port"),
    ],
)
def test_api_address__that_cannot_be_listened_on_is_refused(written: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        checked_api_address(written)


@pytest.mark.parametrize("written", ["off", "127.0.0.1:0", "[::1]:7780", "localhost:1", "0.0.0.0:80"])
def test_api_address__is_taken_as_written(written: str) -> None:
    assert checked_api_address(written) == written


@given(st.text(max_size=300))
def test_api_address__of_any_text_is_taken_or_refused_in_words(written: str) -> None:
    try:
        taken = checked_api_address(written)
    except ValueError:
        return
    assert taken == written


def test_loopback__is_told_from_what_others_reach() -> None:
    assert all(map(is_loopback_host, ("127.0.0.1:1", "[::1]:1", "localhost:1", "127.9.9.9:0")))
    assert not any(map(is_loopback_host, ("0.0.0.0:1", "[::]:1", "192.0.2.1:1")))


def test_health__is_bad_where_the_loop_is_silent(tmp_path: Path) -> None:
    silent = status_of(certified_history(), updated_ms=now_ms() - STALE_MS - 5_000)
    with api_over(tmp_path, status=silent) as client:
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert "has been silent" in answer.json()["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peers": (PEER,)}, None),
        ({}, "no other validator is connected"),
        ({"peers": (PEER,), "round": 40}, "no round of the last 35 is certified"),
        ({"peers": (PEER,), "round": -3}, "has not begun"),
        ({"peers": (PEER,), "phase": "waiting for stake"}, "is waiting for stake"),
    ],
)
def test_readiness__says_what_is_missing(
    tmp_path: Path, changes: dict[str, object], reason: str | None
) -> None:
    with api_over(tmp_path, status=status_of(certified_history(), **changes)) as client:
        answer = client.get("/readyz")
    assert answer.status_code == (200 if reason is None else 503)
    assert (reason or "") in " ".join(answer.json()["reasons"])
    assert bool(answer.json()["reasons"]) == (reason is not None)


def test_status__tells_who_the_node_is(tmp_path: Path) -> None:
    history = certified_history()
    with api_over(tmp_path, history) as client:
        told = client.get("/v1/status").json()
    assert told["network_id"] == history.genesis.network_id.hex()
    assert told["public_key"] == history.validators[0].key.hex()
    assert (told["modality"], told["slot_ms"]) == ("text", history.genesis.parameters.slot_ms)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/status/", 404),
        ("POST", "/v1/status", 405),
        ("GET", "/v1/events?kinds=gossip", 400),
    ],
)
def test_errors__are_told_in_one_form(tmp_path: Path, method: str, path: str, status: int) -> None:
    with api_over(tmp_path) as client:
        answer = client.request(method, path)
    assert answer.status_code == status
    assert ErrorBody.model_validate(answer.json()).error.message
