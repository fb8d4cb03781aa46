"""A dealer that lies, from its report to what `rounds show --disputes` says of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from config.genesis import save_genesis
from node.cli.dispute_view import TOLERANCE_REASON
from node.cli.errors import ExitCode
from node.network.counters import Counters
from node.roles.recorder import Recorder
from node.sim.vectors import encode, stand_in_comparison, stand_in_scores
from node.store import DisputeRecord, Store
from protocol.genesis import Genesis
from protocol.messages import Dispute, Report
from protocol.report import INCOMPARABLE_PPM, ScoredShard, ScoreTask
from protocol.schedule import shard_round
from tests.support.cli import deltamesh, directory_of, home_with_round
from tests.support.epochs import dealer_of, epochs_of, shard_of
from tests.support.genesis import small_network
from tests.support.memory_network import Blobs, MemoryNetwork, MemoryNode

SHIFT = 0.25
"""How much of the weight a lying dealer moves to the shard's first encoder."""


def answer(key: bytes, _: int, texts: Sequence[str]) -> bytes:
    return encode(key, 0.2, texts)


def flattering(task: ScoreTask, blobs: Blobs) -> ScoredShard:
    """The scores, but for some weight that a friend gets."""
    honest = stand_in_scores(task, blobs.get)
    first, *others = struct.unpack(f"<{len(task.encoders)}d", honest.weight)
    weights = (first + SHIFT, *(weight - SHIFT / len(others) for weight in others))
    weight = struct.pack(f"<{len(task.encoders)}d", *weights)
    return msgspec.structs.replace(honest, weight=weight)


async def write_down(node: MemoryNode, genesis: Genesis, store: Store, lock_path: Path) -> None:
    """What a validator's node writes of a round: statements and facts, through the real recorder."""
    recorder = Recorder(epochs_of(genesis), store, Counters(), lock_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        for statement in (*node.said, *node.seen.values()):
            recorder.witness(statement)
        for fact in node.facts:
            await recorder.persist(fact)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def lied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Genesis, MemoryNetwork]:
    """A validator's home after a round whose dealer lied about a weight, and everyone's view of it."""
    genesis, validators, encoders = small_network(4, 4, items=8)
    net = MemoryNetwork(
        genesis,
        [*validators, *encoders],
        {person.key: partial(answer, person.key) for person in encoders},
        flattering,
        lambda task, blobs, claimed: stand_in_comparison(task, blobs.get, claimed),
    )
    at = shard_round(genesis, 0, 0)
    net.run(at)
    home = tmp_path_factory.mktemp("home")
    directory = directory_of(home)
    save_genesis(directory.genesis, genesis)
    watcher = next(key for key in genesis.validators if key != dealer_of(genesis, at))
    with Store.open(directory.store, directory.blobs) as store:
        trio.run(write_down, net.nodes[watcher], genesis, store, home / "lock")
    return home, genesis, net


def test_lying_dealer__is_disputed_by_everyone_else_with_term_encoder_and_difference(
    lied: tuple[Path, Genesis, MemoryNetwork],
) -> None:
    home, genesis, net = lied
    at = shard_round(genesis, 0, 0)
    dealer, shard = dealer_of(genesis, at), shard_of(genesis, at)
    (report,) = [one for one in net.nodes[dealer].said if isinstance(one.body, Report)]
    told = deltamesh("rounds", "show", 0, "--disputes", "--home", home, "--json").json
    assert {one["disputer"] for one in told} == {key.hex() for key in genesis.validators if key != dealer}
    for one in told:
        assert (one["report"], one["dealer"]) == (report.digest.hex(), dealer.hex())
        assert (one["round"], one["shard"], one["stake"]) == (0, 0, 100)
        assert (one["term"], one["encoder"]) == ("weight", shard[0].hex())
        assert one["tolerance_ppm"] == genesis.parameters.tolerance_ppm < one["difference_ppm"]
        # |a - b| / (1 + |b|) of a weight that is about a sixth.
        assert one["difference_ppm"] / 1e6 == pytest.approx(SHIFT / (1 + 1 / 6), abs=0.02)
    (round_,) = deltamesh("rounds", "--home", home, "--json").json
    assert round_["state"] == "void"


def test_lying_dealer__is_disputed_in_words_with_the_tolerance_and_its_reason(
    lied: tuple[Path, Genesis, MemoryNetwork],
) -> None:
    home, genesis, _ = lied
    shown = deltamesh("rounds", "show", 0, "--disputes", "--home", home).out
    at = shard_round(genesis, 0, 0)
    told = (
        "3 validators, 300 of 400 stake",
        "weight",
        dealer_of(genesis, at).hex()[:8],
        "Tolerance 0.001000",
    )
    for text in (*told, shard_of(genesis, at)[0].hex()[:8], TOLERANCE_REASON):
        assert text in shown
    assert "Steps" not in shown, "only the disputes"
    assert TOLERANCE_REASON in deltamesh("rounds", "show", 0, "--home", home).out


def test_round_without_disputes__says_so(tmp_path: Path) -> None:
    home_with_round(tmp_path, rounds=2)
    assert deltamesh("rounds", "show", 1, "--disputes", "--home", tmp_path).out == "No disputes.\n"
    assert deltamesh("rounds", "show", 1, "--disputes", "--home", tmp_path, "--json").json == []
    ended = deltamesh("rounds", "show", 7, "--disputes", "--home", tmp_path)
    assert (ended.code, "nothing of round 7" in ended.error) == (ExitCode.BAD_INPUT, True)


def test_disputes__are_shown_before_anything_else_of_their_round_is_known(tmp_path: Path) -> None:
    round_ = home_with_round(tmp_path)
    at, disputer = shard_round(round_.genesis, 3, 0), sorted(round_.validators)[1]
    claim = Dispute(at, b"r" * 32, "masks", b"", 0, "the views of wave 1 are not those")
    number = Dispute(at, b"s" * 32, "LOF", round_.task.encoders[0], INCOMPARABLE_PPM, "")
    directory = directory_of(tmp_path)
    with Store.open(directory.store, directory.blobs) as store:
        for name, body in ((b"\2" * 32, claim), (b"\3" * 32, number)):
            store.put_dispute(DisputeRecord(name, 3, 0, disputer, round_.sign(disputer, body), 5))
        store.put_dispute(DisputeRecord(b"\4" * 32, 3, 1, disputer, b"no statement", 6))
    shown = deltamesh("rounds", "show", 3, "--disputes", "--home", tmp_path)
    assert shown.code == 0, shown.err
    for text in ("round 3, shard 0", "masks", "not comparable", "round 3, shard 1", "unreadable: "):
        assert text in shown.out
    rows = deltamesh("rounds", "show", 3, "--disputes", "--home", tmp_path, "--json").json
    assert [(one["term"], one["encoder"] != "", one["dealer"]) for one in rows] == [
        ("masks", False, ""),
        ("LOF", True, ""),
        ("", False, ""),
    ]
