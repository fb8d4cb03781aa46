"""`top` and `rounds watch`: what a node does fits the terminal, and reads the same over HTTP."""

from __future__ import annotations

import io
import json
import os
import pty
import termios
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from node.amounts import size
from node.cli.errors import CommandError, ExitCode
from node.cli.live import terminal
from node.cli.live.gathering import Gathering, encoders_of
from node.cli.live.picture import Picture, Progress, Resources, progress_of
from node.cli.live.resources import of_api, samples
from node.cli.live.screen import bar, render, render_rounds, sparkline
from node.cli.live.steps import SeenStep, from_events, from_pictures, step_of
from node.cli.output import moment, now_ms, time_of_day
from node.cli.round_view import RoundDetail, RoundSummary
from node.cli.rounds_watch import line_of
from node.client import Client
from node.client.sse import Event
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, PeerStatus, write_status
from node.store import ScoreRecord, StepRecord
from tests.support.cli import deltamesh, directory_of, home_with_round
from tests.support.genesis import small_network
from tests.support.served_api import on_a_port, round_service

KEYS = tuple(bytes([n]) * 32 for n in range(1, 200))
NOW_MS = 1_700_000_000_000
HOSTILE = "\x1b[2J\x1b[31mred\u202e\n"


def step(name: str, wave: int = 0, answered: int = 0, missing: int = 0, detail: str = "") -> StepRecord:
    keys = KEYS[: answered + missing]
    return StepRecord(7, 0, name, wave, 250, keys[:answered], keys[answered:], detail, NOW_MS)


def detail(
    number: int, state: str, *steps: StepRecord, scores: tuple[float, ...] = (), shard: int = 0
) -> RoundDetail:
    summary = RoundSummary(number, shard, 0, state, KEYS[0], None, 3 * (state == "certified"), {}, NOW_MS)
    rows = (ScoreRecord(number, shard, KEYS[n], score, score / 2) for n, score in enumerate(scores))
    return RoundDetail(summary, steps, tuple(rows), {}, ())


def status(peers: int = 3) -> NodeStatus:
    told = tuple(
        PeerStatus(key.hex(), "encoder", "/ip4/192.0.2.1/tcp/9" + HOSTILE, True, NOW_MS - 5_000, 1.5, 12.345)
        for key in KEYS[:peers]
    )
    return NodeStatus(
        "validator", "cd" * 32, "ef" * 32, os.getpid(), "0.1.0" + HOSTILE, NOW_MS - 60_000, NOW_MS,
        peers=told, round=7, phase=HOSTILE, last_certified_round=6, counters={"rpc.bytes_in": 5_000},
    )  # fmt: skip


def picture(rounds: tuple[RoundDetail, ...], peers: int = 3, told: NodeStatus | None = None) -> Picture:
    found = told or status(peers)
    resources = Resources(350_000_000, 5_000_000_000, 40_000_000, 17)
    return Picture(
        NOW_MS, found, "running", 20_000, NOW_MS - 30_000, rounds, encoders_of(rounds), resources,
        {"rpc.bytes_in": 2e6},
    )  # fmt: skip


def drawn(what: object, width: int, height: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, height=height, color_system=None).print(what)
    return file.getvalue().rstrip("\n").split("\n")


GOING = detail(7, "open", step("dealt"), step("locked", 1, 5, 1), step("locked", 2, 6), step("received"))
CERTIFIED = detail(
    6, "certified", step("dealt"), *(step("locked", wave, 6) for wave in (1, 2, 3)), step("revealed", 0, 6),
    step("reported"), step("certified"), scores=(0.5, 0.9, 0.1),
)  # fmt: skip
VOID = detail(5, "void", step("dealt"), step("void", detail="too few" + HOSTILE))


@pytest.mark.parametrize(("encoders", "peers"), [(0, 0), (3, 2), (40, 60), (199, 3), (2, 199)])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (200, 50)])
def test_picture__fits_the_terminal_however_much_there_is_to_show(
    encoders: int, peers: int, width: int, height: int
) -> None:
    past = detail(6, "certified", scores=tuple(n / 200 for n in range(encoders)))
    lines = drawn(render(picture((GOING, past, VOID), peers), width, height), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "q quits" in text or width < 100
    if encoders > 100:
        assert "more not shown" in text


def test_picture__tells_round_encoders_peers_and_machine() -> None:
    text = "\n".join(drawn(render(picture((GOING, CERTIFIED, VOID)), 120, 40), 120, 40))
    for told in (
        "7/0",
        "w1 5/6",
        "w2 6/6",
        "w3 ·/·",
        "certified by 3 validators",
        "void: too few",
        "12.3 ms",
    ):
        assert told in text, told
    for told in (
        "0.900",
        "memory 334 MiB",
        "disk free 4.7 GiB",
        "queue 17",
        "in 1.9 MiB/s",
        "last certified 6",
    ):
        assert told in text, told
    assert text.index(KEYS[1].hex()[:8]) < text.index(KEYS[2].hex()[:8]), "the best encoder comes first"


def test_rounds__fit_the_terminal_too() -> None:
    many = tuple(detail(number, "open", step("dealt")) for number in range(40, 0, -1))
    lines = drawn(render_rounds(picture(many), 80, 24), 80, 24)
    assert len(lines) <= 24
    assert any("40/0" in line for line in lines)
    assert "ask a validator" in "\n".join(drawn(render_rounds(picture(()), 80, 24), 80, 24))


def test_progress__grows_with_the_steps_and_ends_with_the_round() -> None:
    steps = CERTIFIED.steps
    shares = [progress_of(detail(6, "open", *steps[:count])).share for count in range(len(steps))]
    assert shares == sorted(shares)
    assert (shares[0], progress_of(CERTIFIED).share, progress_of(VOID).ended) == (0, 1, "void")
    assert Progress().share == 0


@given(st.lists(st.floats()), st.integers(0, 40), st.floats())
def test_bars_and_sparklines__have_their_width_whatever_the_numbers(
    values: list[float], width: int, share: float
) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)
    if share == share:
        assert len(bar(share, width)) == width


def test_sizes__are_short() -> None:
    counts = (None, 0, 1_023, 1_023.9, 1_536, 20 << 20, (1 << 30) - 1, 3 << 40, 1 << 60)
    assert [size(count) for count in counts] == [
        "-", "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "20 MiB", "1.0 GiB", "3.0 TiB", "1048576 TiB",
    ]  # fmt: skip


def test_metrics_page__is_read_line_by_line_whatever_else_is_in_it() -> None:
    page = b'# HELP a b\na 1.5\nb{queue="items"} 7\n\xff broken\nc x\n\n'
    assert samples(page) == {"a": 1.5, 'b{queue="items"}': 7.0}


class _Source:
    """Rounds by number, and how often each was asked for."""

    def __init__(self, rounds: dict[int, RoundDetail]) -> None:
        self.known = rounds
        self.asked: list[int] = []

    def genesis(self) -> Any:
        return small_network()[0]

    def rounds(self, last: int) -> list[RoundSummary]:
        return [self.known[max(self.known)].summary]

    def round(self, number: int) -> list[RoundDetail]:
        self.asked.append(number)
        if number not in self.known:
            raise CommandError("not known", ExitCode.BAD_INPUT)
        return [self.known[number]]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1", "1e300"])
def test_metrics_of_a_hostile_api__are_no_numbers_rather_than_a_crash(value: str) -> None:
    names = ["process_resident_memory_bytes", "deltamesh_disk_free_bytes", "deltamesh_store_bytes"]
    page = "".join(f"{name} {value}\n" for name in names).encode()
    client = SimpleNamespace(metrics=lambda: page)
    assert of_api(cast(Client, client))(None) == Resources()


@given(st.integers())
def test_time_of_strangers__is_shown_whatever_it_is(at_ms: int) -> None:
    assert moment(at_ms).isprintable()
    assert len(time_of_day(at_ms)) == 8
    assert line_of(SeenStep(1, 0, "locked", 0, 0, 0, 0, "", at_ms)).isprintable()


def test_settled_rounds__are_asked_for_once() -> None:
    source = _Source({7: GOING, 6: CERTIFIED, 5: VOID})
    gathering = Gathering(source, lambda: (None, Liveness.STOPPED), lambda _: Resources())  # type: ignore[arg-type]
    first = gathering.picture()
    assert [one.summary.round for one in first.rounds] == [7, 6, 5]
    source.asked.clear()
    assert gathering.picture().rounds == first.rounds
    assert 7 in source.asked
    assert 6 not in source.asked
    assert json.loads(json.dumps(first.document(), default=bytes.hex))["rounds"][0]["round"] == 7


def test_new_steps__are_told_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = detail(7, "open", *GOING.steps, step("locked", 3, 6))
    looks = iter([picture((GOING, CERTIFIED)), picture((GOING, CERTIFIED)), picture((grown, CERTIFIED))])
    monkeypatch.setattr("node.cli.live.steps.time.sleep", lambda _: None)
    told = list(islice(from_pictures(lambda: next(looks)), 4))
    assert [(one.round, one.step, one.wave) for one in told] == [
        (7, "dealt", 0), (7, "locked", 1), (7, "locked", 2), (7, "locked", 3),
    ]  # fmt: skip


def test_rounds_that_a_later_picture_adds_behind__are_over_and_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = detail(5, "certified", step("dealt", 0, 0, 6), step("certified", 0, 3))
    newer = detail(8, "open", step("dealt", 0, 0, 6))
    looks = iter([picture((CERTIFIED,)), picture((CERTIFIED, older)), picture((newer, CERTIFIED, older))])
    monkeypatch.setattr("node.cli.live.steps.time.sleep", lambda _: None)
    told = list(islice(from_pictures(lambda: next(looks)), 1))
    assert [(one.round, one.step) for one in told] == [(8, "dealt")]


def test_steps__end_when_the_node_stops_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = detail(7, "open", *GOING.steps, step("locked", 3, 6))
    looks = iter([picture((GOING,)), replace(picture((grown,)), state=Liveness.STOPPED.value)])
    monkeypatch.setattr("node.cli.live.steps.time.sleep", lambda _: None)
    told = [(one.step, one.wave) for one in from_pictures(lambda: next(looks))]
    assert told == [("dealt", 0), ("locked", 1), ("locked", 2), ("locked", 3)]


def test_watch__of_a_node_that_was_stopped_says_so_and_ends(tmp_path: Path) -> None:
    home_with_round(tmp_path)
    ended = deltamesh("rounds", "watch", "--home", tmp_path)
    assert ended.code == ExitCode.NODE_STATE
    assert ended.out == ""
    assert f"no node is running in {tmp_path}" in ended.error
    assert f"deltamesh run encoder --home {tmp_path} --network localnet" in ended.error


def test_watch__on_a_terminal_ends_when_the_node_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home_with_round(tmp_path)
    path = directory_of(tmp_path).root / STATUS_FILE_NAME
    write_status(path, msgspec.structs.replace(status(), updated_ms=now_ms()))
    drawn_s = []

    def show(draw: terminal.Draw, every_s: float) -> None:
        for _ in range(2):
            draw(80, 24)
            drawn_s.append(every_s)
            path.unlink(missing_ok=True)

    monkeypatch.setattr(terminal, "show_until_quit", show)
    monkeypatch.setattr("node.cli.rounds_watch._is_terminal", lambda: True)
    ended = deltamesh("rounds", "watch", "--home", tmp_path)
    assert ended.code == ExitCode.NODE_STATE
    assert "no node is running" in ended.error
    assert len(drawn_s) == 1


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(), lambda inner: st.lists(inner, max_size=2)
)


@given(st.dictionaries(st.sampled_from([*SeenStep.__dataclass_fields__, "other"]), JSON))
@settings(max_examples=60)
def test_any_event__is_a_step_of_one_line_or_left_out(data: dict[str, Any]) -> None:
    found = step_of(data)
    if found is not None:
        assert len(line_of(found).splitlines()) == 1


def test_events__become_lines() -> None:
    seen = SeenStep(7, 0, "locked", 1, 250, 5, 1, HOSTILE, NOW_MS)
    events = iter(
        [Event(1, "status", {}), Event(2, "step", seen.document()), Event(3, "step", {"round": "x"})]
    )
    assert list(from_events(events)) == [seen]
    line = line_of(seen)
    assert "round 7/0  locked wave 1  5 of 6 answered  0.25 s" in line
    assert line.isprintable()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with round_service(home, rounds=3) as service, on_a_port(service) as address:
        yield address


@pytest.mark.network
def test_top__shows_the_same_rounds_beside_the_node_and_over_http(home: Path, url: str) -> None:
    there = deltamesh("top", "--url", url, "--json")
    assert there.code == 0, there.err
    here = deltamesh("top", "--home", home, "--json")
    assert here.code == 0, here.err
    assert {one["round"] for one in here.json["rounds"]} == {0, 1, 2}
    assert here.json["encoders"]
    assert there.json["status"]["role"] == "validator"
    shown = deltamesh("top", "--home", home, "--once").out
    assert "encoders by score" in shown
    assert "certified by" in shown


@pytest.mark.network
def test_top__of_nobody_ends_with_one_sentence(tmp_path: Path) -> None:
    assert deltamesh("top", "--home", tmp_path, "--once").code == 4
    directory_of(tmp_path)
    assert deltamesh("top", "--home", tmp_path, "--once").code == 4
    assert deltamesh("rounds", "watch", "--url", "http://127.0.0.1:1").code == 7


def test_top_of_a_running_node__has_its_status(tmp_path: Path) -> None:
    home_with_round(tmp_path)
    write_status(directory_of(tmp_path).root / STATUS_FILE_NAME, status())
    found = deltamesh("top", "--home", tmp_path, "--json").json
    assert found["status"]["peers"][0]["round_trip_ms"] == 12.345
    assert found["memory_bytes"] > 1_000_000


def test_screen__ends_with_q_and_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    looks = 0

    def draw(width: int, height: int) -> str:
        nonlocal looks
        looks += 1
        if looks == 2:
            os.write(ours, b"q")
        return "something"

    with open(theirs, closefd=False) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        thread = threading.Thread(target=terminal.show_until_quit, args=(draw, 0.05), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    assert looks == 2
