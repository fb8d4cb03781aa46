"""The doctor dials real hosts: who answers, who does not and why, and whose clock is off."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from config.datadir import DataDir
from config.genesis import save_genesis
from node import dial_back
from node.clock import now_ms
from node.clock_telling import ANSWER_BYTES, METHOD, clock_told, tell_clock
from node.dial_back import ASKERS_MAX, QUESTION_BYTES, TRIES_AT_ONCE, DialBack, Reached, question, reached_by
from node.doctor import visiting
from node.doctor.checks.network import judge_clock, judge_peers
from node.doctor.finding import Verdict
from node.doctor.subject import Reach, Role, subject_of
from node.doctor.visiting import VISITS_MAX, Outcome, addresses_to_visit, visit, why
from node.keys import create_key, peer_id
from node.network.errors import RequestError, RequestRefused
from node.network.host import Host
from tests.network.peers import hosts, pair
from tests.support.genesis import small_network

pytestmark = [pytest.mark.anyio, pytest.mark.network]

ANOTHER = peer_id(bytes(range(32)))


def tells(host: Host, ahead_ms: int = 0) -> None:
    async def told(peer: bytes, payload: bytes) -> bytes:
        return (now_ms() + ahead_ms).to_bytes(ANSWER_BYTES, "big")

    answer = told if ahead_ms else tell_clock
    host.handle(METHOD, answer, request_bytes_max=0, response_bytes_max=ANSWER_BYTES)


def dials_back(host: Host) -> None:
    host.handle(
        dial_back.METHOD, DialBack(host).answer, request_bytes_max=QUESTION_BYTES, response_bytes_max=1
    )


async def test_clock__is_told_by_those_who_answer_and_the_middle_one_counts() -> None:
    async with hosts(3) as (right, also_right, ahead):
        tells(right)
        tells(also_right)
        tells(ahead, 60_000)
        visits = await visit(tuple(host.addresses[0] for host in (right, also_right, ahead)))
        assert [one.outcome for one in visits] == [Outcome.ANSWERS] * 3
        offsets = [one.ahead_ms or 0.0 for one in visits]
        assert all(
            abs(offset) <= one.uncertain_ms + 50 for offset, one in zip(offsets[:2], visits, strict=False)
        )
        assert 59_000 < offsets[2] < 61_000
        (finding,) = judge_clock(visits, kept=True)
        assert finding.verdict is Verdict.OK
        (finding,) = judge_clock(visits[2:], kept=True)
        assert finding.verdict is Verdict.ERROR


async def test_peer__that_tells_no_time_still_answers() -> None:
    async with hosts(1) as (older,):
        (seen,) = await visit((older.addresses[0],))
        assert (seen.outcome, seen.ahead_ms) == (Outcome.ANSWERS, None)
        (finding,) = judge_peers([seen], Role.ENCODER)
        assert finding.verdict is Verdict.OK


async def test_peer__that_answers_rubbish_tells_no_time() -> None:
    async def rubbish(peer: bytes, payload: bytes) -> bytes:
        return b"late"

    async with hosts(1) as (odd,):
        odd.handle(METHOD, rubbish, request_bytes_max=0, response_bytes_max=ANSWER_BYTES)
        (seen,) = await visit((odd.addresses[0],))
        assert (seen.outcome, seen.ahead_ms) == (Outcome.ANSWERS, None)


async def test_peer__that_does_not_answer_is_told_by_where_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "DIAL_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        other = deaf.getsockname()[1]
        async with hosts(1) as (host,):
            moved = f"{host.addresses[0].partition('/p2p/')[0]}/p2p/{ANOTHER}"
            places = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{ANOTHER}" for port in (nobody, other)]
            visits = await visit((host.addresses[0], moved, *places))
    outcomes = [one.outcome for one in visits]
    assert outcomes == [Outcome.ANSWERS, Outcome.WRONG_KEY, Outcome.REFUSED, Outcome.NO_HANDSHAKE]
    found = judge_peers(visits, Role.ENCODER)
    assert [one.verdict for one in found] == [Verdict.WARNING] * 3 + [Verdict.OK]


async def test_peer__whose_name_is_not_known_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> trio.SocketStream:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio, "open_tcp_stream", unknown)
    seen = await why(f"/dns4/nowhere.invalid/tcp/7700/p2p/{ANOTHER}", "no such host")
    assert (seen.outcome, seen.reason) == (Outcome.NO_NAME, "Name or service not known")


async def test_time__is_eight_bytes_and_nothing_else() -> None:
    before_ms = now_ms()
    told = clock_told(await tell_clock(b"", b""))
    assert told is not None
    assert before_ms <= told <= now_ms()
    assert [clock_told(b"\x00" * size) for size in (0, 7, 9)] == [None] * 3


async def test_node__is_looked_for_from_the_other_side_at_the_address_that_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dial_back, "TRY_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    async with hosts(3) as (first, second, mine):
        dials_back(first)
        dials_back(second)
        here = int(mine.addresses[0].split("/")[4])
        (through,) = await visit((first.addresses[0],), question(here, mine.public_key))
        (not_through,) = await visit((second.addresses[0],), question(nobody, mine.public_key))
        (too_soon,) = await visit((first.addresses[0],), question(here, mine.public_key))
    assert [one.reached for one in (through, not_through, too_soon)] == [Reached.YES, Reached.NO, None]


@pytest.mark.parametrize("there", ["nobody", "no node", "another node", "the node"])
async def test_key__is_proved_by_its_own_node_alone_and_no_connection_stays(there: str) -> None:
    async def deaf(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with hosts(2) as (asked, mine), trio.open_nursery() as nursery:
        await asked.dial(mine.addresses[0])  # connected already: it is dialled all the same
        place = mine.addresses[0].partition("/p2p/")[0]
        if there in ("nobody", "no node"):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            place = f"/ip4/127.0.0.1/tcp/{listener.socket.getsockname()[1]}"
            if there == "nobody":
                await listener.aclose()
            else:
                nursery.start_soon(trio.serve_listeners, deaf, [listener])
        key = ANOTHER if there == "another node" else peer_id(mine.public_key)
        with trio.fail_after(10):
            assert await asked.proves(f"{place}/p2p/{key}") is (there == "the node")
        assert len(asked.peers()) == 1
        nursery.cancel_scope.cancel()


async def test_question__that_names_no_port_or_the_systems_or_no_key_is_refused() -> None:
    async with pair() as (validator, asker):
        dials_back(validator)
        key = asker.public_key
        for payload in (b"", b"\x00", b"\x20\x00", b"\x00\x16" + key, b"\x20\x00" + key + b"\x00"):
            with pytest.raises(RequestError):
                await asker.request(validator.public_key, dial_back.METHOD, payload, timeout_s=5)


async def test_dial_back__remembers_a_bounded_number_of_machines() -> None:
    async with hosts(1) as (host,):
        back = DialBack(host)
        for number in range(ASKERS_MAX + 5):
            back._take_turn(str(number))
        assert len(back._tried_s) == ASKERS_MAX
        back._take_turn("0")
        with pytest.raises(RequestRefused):
            back._take_turn("0")
        back._trying = TRIES_AT_ONCE
        with pytest.raises(RequestRefused):
            back._take_turn("another")
    assert reached_by(b"") is reached_by(b"\x02") is None


async def test_addresses__are_bootstrap_peers_and_validators_once_each_and_not_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, validators, _ = small_network()
    directory = DataDir.open(tmp_path, "localnet")
    me = create_key(directory.key)
    save_genesis(directory.genesis, genesis)
    others = [f"/ip4/192.0.2.1/tcp/{n}/p2p/{ANOTHER}" for n in range(1, 2 * VISITS_MAX)]
    bootstrap = [f"/ip4/192.0.2.1/tcp/1/p2p/{me.peer_id}", others[0], others[0]]
    monkeypatch.setenv("DELTAMESH_BOOTSTRAP", ",".join(bootstrap))
    found = addresses_to_visit(subject_of(tmp_path, None, Reach.NETWORK))
    assert found[0] == others[0]
    assert not any(address.endswith(me.peer_id) for address in found)
    named = {address.rpartition("/")[2] for address in found[1:]}
    assert named == {peer_id(one.key) for one in validators if genesis.validators[one.key].addresses}
    monkeypatch.setenv("DELTAMESH_BOOTSTRAP", ",".join(others))
    assert len(addresses_to_visit(subject_of(tmp_path, None, Reach.NETWORK))) == VISITS_MAX
