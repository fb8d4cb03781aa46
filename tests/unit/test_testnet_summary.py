"""What is said about a run: the summary, the table, the lines, from the stores of the nodes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from config.datadir import DataDir
from node.clock import now_ms
from node.network.counters import Counters
from node.roles.recorder import Recorder
from node.status import STATUS_FILE_NAME, NodeStatus, write_status
from node.store import RoundState, Store
from node.testnet.fleet import Fleet
from node.testnet.plan import NETWORK, NodePlan
from node.testnet.plan import TestnetPlan as Plan
from node.testnet.shortfall import shortfall
from node.testnet.summary import VECTOR_BYTES, summarise
from node.testnet.table import line, outcome, render
from node.testnet.up import Run
from node.testnet.watch import RoundView, Watcher
from protocol.rounds import effects as fx
from protocol.schedule import shard_round
from tests.support.certified_history import certified_history
from tests.support.epochs import dealer_of, epochs_of

HISTORY = certified_history()
VIEWS = 40


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A network whose validators hold round 0; the dealer's own steps are in its store."""
    validators = []
    for number, person in enumerate(HISTORY.validators):
        home = tmp_path / f"validator-{number}"
        DataDir.open(home, NETWORK)
        validators.append(NodePlan(home.name, "validator", home, person.key, None))
    encoders = []
    for number, person in enumerate(HISTORY.encoders):
        home = tmp_path / f"encoder-{number}"
        DataDir.open(home, NETWORK)
        cheat = "zero" if number == 0 else None
        encoders.append(NodePlan(home.name, "encoder", home, person.key, None, "ngram", cheat))
    plan = Plan(tmp_path, HISTORY.genesis, tuple(validators), tuple(encoders))
    for node in plan.validators:
        with Store.open(node.directory / "store.sqlite", node.directory / "blobs") as store:
            _tell(
                Recorder(epochs_of(HISTORY.genesis), store, Counters(), Path("epoch.lock")), node.public_key
            )
    return plan


def _tell(recorder: Recorder, me: bytes) -> None:
    fact = HISTORY.facts[0]
    keys = tuple(sorted(person.key for person in HISTORY.encoders))
    if me == dealer_of(HISTORY.genesis, fact.at):
        recorder.publish(fx.Publish(fact.at, fx.Step.DEALT, missing=keys, detail=f"{VIEWS} views"))
        for key in keys:
            recorder._counters.add_received(key, VIEWS * VECTOR_BYTES + 1_000)
        for wave in (1, 2, 3):
            recorder.publish(fx.Publish(fact.at, fx.Step.LOCKED, wave, 100 * wave, keys))
        recorder.publish(fx.Publish(fact.at, fx.Step.REVEALED, 0, 50, keys))
        recorder.publish(fx.Publish(fact.at, fx.Step.REPORTED, 0, 70))
        recorder.publish(fx.Publish(fact.at, fx.Step.CERTIFIED, 0, 900, ()))
    recorder._write_waiting()
    recorder._persist(fact)


@pytest.fixture
def watcher(plan: Plan) -> Iterator[Watcher]:
    watcher = Watcher(plan)
    yield watcher
    watcher.close()


@pytest.fixture
def view(watcher: Watcher) -> RoundView:
    return watcher.round(0)


def shown(what: object, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def void(view: RoundView, reason: str) -> RoundView:
    return replace(view, round=1, state=RoundState.VOID, reason=reason, attesting=(), report=None, scores=())


def test_view__puts_together_what_dealer_and_others_wrote(view: RoundView) -> None:
    assert view.dealt
    assert view.state is RoundState.CERTIFIED
    assert view.wave_ms == {1: 100, 2: 200, 3: 300}
    assert (view.reveal_ms, view.score_ms, view.vectors) == (50, 70, VIEWS)
    assert view.certified_ms is not None
    assert view.items == len(HISTORY.facts[0].items)
    assert len(view.scores) == len(HISTORY.encoders)
    assert set(view.attesting) <= HISTORY.genesis.validators.keys()
    assert view.revealed == {person.key for person in HISTORY.encoders}


def test_summary__is_complete_json_with_bytes_against_the_vector(plan: Plan, view: RoundView) -> None:
    document = summarise(plan, [view, void(view, "too few")], 1_234, 9_999)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["rounds_dealt"], document["rounds_certified"], document["cheaters"]) == (2, 1, 1)
    assert (document["first_certificate_ms"], document["elapsed_ms"]) == (1_234, 9_999)
    first = document["rounds"][0]
    assert first["latency_ms"]["wave_2"] == 200
    assert first["certificate"]["stake_share"] >= 2 / 3
    assert first["certificate"]["report"] == HISTORY.facts[0].header.digest.hex()
    for encoder in first["encoders"]:
        assert encoder["waves_answered"] == [1, 2, 3]
        assert encoder["bytes_received"] == VIEWS * VECTOR_BYTES + 1_000
        assert encoder["bytes_per_vector"] == pytest.approx(VECTOR_BYTES + 1_000 / VIEWS)
        assert encoder["bytes_of_a_vector"] == VECTOR_BYTES
        assert encoder["weight"] == pytest.approx(1 / len(HISTORY.encoders))
    assert document["rounds"][1]["reason"] == "too few"
    # Void rounds have no part in the means.
    assert [row["score"] for row in document["means"]] == [1.0] * len(HISTORY.encoders)


def test_summary_of_nothing__is_still_a_summary(plan: Plan) -> None:
    document = summarise(plan, [], None, 5)
    assert (document["rounds"], document["means"], document["first_certificate_ms"]) == ([], [], None)
    json.dumps(document)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_picture__shows_rounds_and_encoders_at_any_width(plan: Plan, view: RoundView, width: int) -> None:
    text = shown(render(plan, view, [view], "4 of 4 nodes run"), width)
    assert "4 of 4 nodes run" in text
    assert max(map(len, text.splitlines())) <= width


def test_picture__tells_waves_scores_latencies_and_cheaters(plan: Plan, view: RoundView) -> None:
    text = shown(render(plan, view, [view], "run"))
    for person in HISTORY.encoders:
        assert person.key.hex()[:8] in text
    assert "1 2 3 revealed" in text
    assert "cheats: zero" in text
    assert "0.30 s" in text
    assert view.dealer.hex()[:8] in text
    assert "%" in text


def test_picture_before_anything_happened__is_the_headline(plan: Plan) -> None:
    assert shown(render(plan, None, [], "0 of 8 nodes run")).strip() == "0 of 8 nodes run"


def test_reason_with_markup__is_shown_as_it_is(plan: Plan, view: RoundView) -> None:
    broken = void(view, "scoring failed: [Errno 2] no [/such] file")
    assert "[/such]" in shown(render(plan, None, [broken], "run"), 240)
    assert line(plan, broken) == f"round 1: void: {broken.reason}"


def test_line__says_stake_time_items_and_waves(plan: Plan, view: RoundView) -> None:
    text = line(plan, view)
    assert text.startswith("round 0: certified by ")
    assert f"{len(HISTORY.facts[0].items)} items, {len(HISTORY.encoders)} encoders" in text
    assert "wave 3 0.30 s" in text
    assert outcome(replace(view, state=RoundState.REPORTED)) == "reported"


def test_void_round__waits_for_its_reason_and_not_for_ever(plan: Plan, view: RoundView) -> None:
    run = Run(plan, Fleet(plan.nodes), None, Console(file=io.StringIO()), 0)
    assert run._settled(void(view, "too few"), 1)
    assert not run._settled(void(view, ""), 2)
    assert run._settled(void(view, ""), 3)
    assert outcome(void(view, "")) == "void"


def test_shortfall__says_how_many_why_and_where_to_look(view: RoundView) -> None:
    past = [view, void(view, "only 0 encoders committed to wave 1")]
    told = shortfall(past, Path("/net"), load=1.0, cores=2)
    assert told.startswith("1 of 2 rounds dealt was certified (void: only 0 encoders committed to wave 1).")
    assert "--home /net/validator-1" in told
    assert "load" not in told
    stopped = shortfall([view], Path("/net"), missing=8, load=1.0, cores=2)
    assert stopped.startswith("1 of 1 round dealt was certified, and 8 more were asked for. The nodes' logs")


def test_shortfall__of_a_busy_machine_says_so(view: RoundView) -> None:
    told = shortfall([void(view, "")], Path("/net"), load=30.2, cores=2)
    assert told.startswith("0 of 1 round dealt were certified. The load is 30 on 2 cores")


def test_round_nobody_dealt__is_open_and_not_dealt(watcher: Watcher) -> None:
    view = watcher.round(3)
    assert not view.dealt
    assert view.state is RoundState.OPEN
    assert not view.scores
    assert not view.attesting


def test_ready__counts_nodes_that_run_and_no_last_words_of_the_dead(plan: Plan, watcher: Watcher) -> None:
    assert watcher.ready() == (0, 8)
    alive = NodeStatus("validator", "", "", 1, "", 0, updated_ms=now_ms())
    dead = replace_status(alive, pid=2**22 + 1)
    write_status(plan.nodes[0].directory / STATUS_FILE_NAME, alive)
    write_status(plan.nodes[1].directory / STATUS_FILE_NAME, dead)
    write_status(plan.nodes[2].directory / STATUS_FILE_NAME, replace_status(alive, updated_ms=0))
    (plan.nodes[3].directory / STATUS_FILE_NAME).write_text("damaged")
    assert watcher.ready() == (1, 8)


def replace_status(status: NodeStatus, **changes: int) -> NodeStatus:
    import msgspec

    return msgspec.structs.replace(status, **changes)


def test_store_that_is_damaged_or_missing__is_looked_at_again_later(plan: Plan) -> None:
    stores = [node.directory / "store.sqlite" for node in plan.validators]
    for number, path in enumerate(stores):
        path.with_name("store.sqlite-wal").unlink(missing_ok=True)
        if number:
            path.write_bytes(b"no database at all" * 400)
        else:
            path.unlink()
    watcher = Watcher(plan)
    at = shard_round(HISTORY.genesis, 0, 0)
    assert watcher.round(0).dealer == dealer_of(HISTORY.genesis, at)
    assert watcher.round(0).state is RoundState.OPEN
    watcher.close()
