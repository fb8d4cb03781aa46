"""The API in a process of its own: it is told everything, may die or hang, and does not outlive the node."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest
import trio
from psutil import Process

from node.api_process import client
from node.api_process.__main__ import NICENESS
from node.api_process.wire import KEPT_EVENTS
from tests.support.api import status_of
from tests.support.api_process import LOOK_EVERY_S, PATIENCE_S, Rig, api_process
from tests.support.certified_history import certified_history
from tests.support.documents import ROOT
from tests.support.measured import TIMED, value_of

pytestmark = pytest.mark.anyio

HISTORY = certified_history()


async def test_process__serves_what_the_node_tells_and_ends_with_it(tmp_path: Path) -> None:
    async with api_process(tmp_path) as rig:
        pid = await rig.pid()
        assert (await rig.get("/healthz"))[0] == 200
        async with rig.listening() as listening:
            for n in range(300):
                rig.state.publish("step", {"n": n})
            told = await listening.events(300, "step")
        assert [event.data["n"] for event in told] == list(range(300))

        # What only the node's memory knows is in the metrics, and follows it.
        rig.state.metrics.rounds.step(TIMED)
        await until_in_metrics(rig, "deltamesh_wave_seconds_sum", 2.5, wave="1")
        loaded = await trio.to_thread.run_sync(loaded_libraries, pid)
        assert any("uvloop" in name for name in loaded)
        assert not [name for name in loaded if "torch" in name or "coincurve" in name]
        assert Process(pid).ppid() == os.getpid()
        # Its own session: only so does its niceness count against the node's.
        assert os.getsid(pid) == pid
        assert Process(pid).nice() >= NICENESS
        if sys.platform == "linux":
            assert os.sched_getscheduler(pid) == os.SCHED_BATCH
        assert not rig.counters
    assert not psutil.pid_exists(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(rig.place, timeout=10).close()


@pytest.mark.slow
async def test_process__that_is_killed_comes_back_and_nothing_is_missed(tmp_path: Path) -> None:
    async with api_process(tmp_path) as rig:
        async with rig.listening() as listening:
            for n in range(300):
                rig.state.publish("step", {"n": n})
            told = await listening.events(300, "step")
        first = await rig.pid()
        os.kill(first, signal.SIGKILL)
        second = await rig.pid(other_than=first)
        # Numbers are the node's: whoever comes back hears what it has missed, and nothing twice.
        rig.state.publish("step", {"n": 300})
        async with rig.listening(last_id=told[297].id) as listening:
            again = await listening.events(3, "step")
        assert [event.data["n"] for event in again] == [298, 299, 300]
        assert [event.id for event in again][:2] == [told[298].id, told[299].id]
        assert not rig.counters
        assert Process(second).ppid() == os.getpid()


async def until_in_metrics(rig: Rig, name: str, value: float, **labels: str) -> None:
    """Tell a status as the node does every second, until its counts are shown."""
    while True:
        rig.state.tell(status_of(HISTORY))
        status, text = await rig.get("/metrics")
        assert status == 200
        if value_of(text.decode(), name, **labels) == value:
            return
        await trio.sleep(LOOK_EVERY_S)


def loaded_libraries(pid: int) -> list[str]:
    """Paths of what a process has mapped."""
    return [one.path for one in Process(pid).memory_maps()]


@pytest.mark.slow
async def test_process__that_does_not_read_stops_nobody_and_costs_bounded_memory(tmp_path: Path) -> None:
    async with api_process(tmp_path) as rig:
        async with rig.listening() as listening:
            rig.state.publish("step", {"n": -1})
            await listening.events(1, "step")
            frozen = Process(await rig.pid())
            frozen.suspend()
            try:
                for n in range(10 * KEPT_EVENTS):
                    rig.state.publish("step", {"n": n, "detail": "x" * 200})
                    if n % 100 == 0:
                        await trio.lowlevel.checkpoint()
            finally:
                frozen.resume()
            last = -1
            while last < 10 * KEPT_EVENTS - 1:
                (event,) = await listening.events(1)
                if event.kind == "missed":
                    assert event.data["oldest"] - event.data["after"] > 1
                elif event.kind == "step":
                    assert event.data["n"] > last
                    last = event.data["n"]
        assert rig.counters["api.events_lost"] > 0
        assert len(rig.state.feed._kept) == KEPT_EVENTS
        assert await rig.pid() == frozen.pid


@pytest.mark.slow
async def test_process__that_hangs_is_ended_and_another_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENT_MAX_S", 8.0)
    async with api_process(tmp_path) as rig:
        await answered(rig)
        hanging = await rig.pid()
        Process(hanging).suspend()
        await rig.pid(other_than=hanging)
        await answered(rig)
        assert not psutil.pid_exists(hanging)


async def answered(rig: Rig) -> None:
    """Ask until there is an answer: on a busy machine a process may seem to hang that does not."""
    while True:
        with suppress(ConnectionError, HTTPException):
            assert (await rig.get("/v1/genesis"))[0] == 200
            return


@pytest.mark.slow
async def test_submission__wakes_the_node(tmp_path: Path) -> None:
    async with api_process(tmp_path) as rig:
        with socket.create_connection(rig.place, timeout=PATIENCE_S) as asking:
            body = b'{"model":"%s","input":"a text nobody has sent"}' % HISTORY.genesis.content.name.encode()
            head = "POST /v1/embeddings HTTP/1.1\r\nHost: {}:{}\r\nPrefer: respond-async\r\n".format(
                *rig.place
            )
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            await trio.to_thread.run_sync(asking.sendall, head.encode() + body)
            await rig.state.submitted()


@pytest.mark.slow
async def test_listeners__are_let_go_when_the_node_stops(tmp_path: Path) -> None:
    async with api_process(tmp_path) as rig, rig.listening() as listening:
        rig.state.publish("step", {"n": 0})
        await listening.events(1, "step")
        rig.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert await listening.rest() is not None


@pytest.mark.slow
def test_process__is_gone_with_a_node_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.api_process", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as parent:
        assert parent.stdout is not None
        pid, host, port = parent.stdout.readline().split()
        child = Process(int(pid))
        parent.kill()
    with suppress(psutil.NoSuchProcess):
        child.wait(PATIENCE_S)
    # Its address is free for the node that starts next.
    socket.create_server((host, int(port))).close()
