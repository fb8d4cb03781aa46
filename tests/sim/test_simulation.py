"""The simulator: reproducible, honest networks live, liars are seen, and nothing breaks an invariant."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol.epochs.transition
from node.clock import LOOK_AGAIN_S
from node.sim.byzantine import Lie
from node.sim.cheating import ZOO, Cheat
from node.sim.disk import DiskError
from node.sim.process import LOOK_AGAIN_MS
from node.sim.run import Outcome, Simulation, simulate
from node.sim.scenario import Scenario, ScenarioError, Wishes, draw_scenario
from node.sim.validator import SimValidator
from protocol.epochs.stakes import Stakes, next_stakes
from protocol.epochs.view import Epoch
from tests.support.cli import ROOT

PROGRAM = (
    "from node.sim.run import simulate; from node.sim.scenario import draw_scenario; "
    "print(simulate(draw_scenario(12)).trace_hash)"
)


def calm(**changes: object) -> Scenario:
    """Four validators and five encoders on good links, without any fault."""
    plain = replace(
        draw_scenario(1, Wishes(4, 5, 3, 0, 0, 0, 0, shards=1)),
        replay_percent=0,
        reorder_percent=0,
        delay_ms_max=20,
        partitions=0,
        skewed_clocks=0,
        disk_faults=0,
        submissions=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def seen(outcome: Outcome, words: str) -> list[str]:
    """Lines of the trace that hold these words."""
    assert outcome.violation == ""
    return [line for line in outcome.lines if words in line]


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_trace_hash__is_the_same_in_every_process(hash_seed: str) -> None:
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "PATH": ""}
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == simulate(draw_scenario(12)).trace_hash


def test_trace_hash__tells_seeds_apart_and_does_not_depend_on_being_kept() -> None:
    one, other = (simulate(draw_scenario(seed)).trace_hash for seed in (14, 15))
    assert one != other
    assert simulate(draw_scenario(14), keep_trace=True).trace_hash == one


@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None)
def test_any_seed__breaks_no_invariant(seed: int) -> None:
    assert simulate(draw_scenario(seed)).violation == ""


def test_honest_network_without_faults__certifies_every_round() -> None:
    outcome = simulate(calm(), keep_trace=True)
    assert (outcome.violation, outcome.certified_rounds) == ("", outcome.rounds)
    assert not seen(outcome, "evidence")
    assert not seen(outcome, "rejects")


def test_false_scores__are_disputed_by_every_honest_validator() -> None:
    outcome = simulate(calm(lies=((Lie.FALSE_SCORES,),), rounds=10), keep_trace=True)
    disputed = {line.split()[1] for line in seen(outcome, "disputed weight")}
    assert disputed == {"v1", "v2", "v3"}


def test_submitted_items__are_handed_to_dealers_and_certified() -> None:
    outcome = simulate(calm(submissions=3, rounds=8))
    assert (outcome.violation, outcome.submitted, outcome.served) == ("", 3, 3)


def test_item_whose_write_was_reported_as_failed__may_be_served_all_the_same() -> None:
    assert simulate(draw_scenario(1933)).violation == ""


def test_what_an_epoch_learns_finds_no_room__and_no_machine_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[bytes] = []
    keep = SimValidator.keep

    def full_at_first(validator: SimValidator, name: bytes, data: bytes) -> None:
        if validator.key == min(validator.epochs.genesis.validators) and len(refused) < 40:
            refused.append(name)
            raise DiskError("the disk is full: free some space")
        keep(validator, name, data)

    learn = SimValidator._learn

    def learn_on_a_full_disk(validator: SimValidator, rounds: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(SimValidator, "keep", full_at_first)
            return learn(validator, rounds)

    monkeypatch.setattr(SimValidator, "_learn", learn_on_a_full_disk)
    scenario = replace(draw_scenario(1, Wishes(4, 5, 12, 0, 0, 0, 0, shards=1)), disk_faults=0)
    outcome = simulate(scenario)
    assert refused
    assert outcome.violation == ""


def test_served_item_that_nobody_submitted__is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SimValidator, "served", lambda self, at: (b"one two three four five six seven eight",)
    )
    assert simulate(calm()).violation.startswith("only what was submitted is served")


@pytest.mark.parametrize("cheat", ZOO)
def test_cheating_answers__cost_nobody_a_round(cheat: Cheat) -> None:
    outcome = simulate(calm(cheats=(cheat, cheat)), keep_trace=True)
    assert (outcome.violation, outcome.certified_rounds) == ("", outcome.rounds)
    assert not seen(outcome, "evidence")


@pytest.mark.parametrize("seed", [0, 1])
def test_sybils_beyond_the_number_of_the_honest__become_members_and_stop_no_round(seed: int) -> None:
    simulation = Simulation(calm(seed=seed, sybils=12, rounds=16))
    outcome = simulation.run()
    assert outcome.violation == ""
    assert outcome.certified_rounds > 10
    members = simulation.nodes[0].epochs.newest
    keys = {member.key for member in simulation.world.newcomers}
    assert len(keys) == 12
    assert keys <= members.encoders.keys()
    assert not any(members.states[key].stake == 0 for key in members.states)


@pytest.mark.parametrize("cheat", [Cheat.TWO_COMMITS, Cheat.FALSE_REVEAL])
def test_contradicting_encoder__is_named_in_evidence_everyone_gets(cheat: Cheat) -> None:
    outcome = simulate(calm(cheats=(cheat,)), keep_trace=True)
    assert seen(outcome, "says evidence")
    assert len({line.split()[1] for line in seen(outcome, "accepts evidence")}) >= 4


@pytest.mark.parametrize("lie", list(Lie))
def test_one_liar_of_four__cannot_stop_the_honest(lie: Lie) -> None:
    assert simulate(calm(lies=((lie,),), rounds=4)).violation == ""


def test_withheld_report__leaves_the_round_void() -> None:
    outcome = simulate(calm(lies=((Lie.WITHHOLD,),), rounds=10), keep_trace=True)
    withheld = {line.split()[-1] for line in seen(outcome, "withholds its report")}
    certified = {line.split()[3] for line in seen(outcome, "certified")}
    assert withheld
    assert not withheld & certified


def test_clocks_an_hour_behind__take_part_again_as_soon_as_they_are_set_right() -> None:
    # Two validators come back an hour behind: looking at the clock once a minute cost five slots.
    assert LOOK_AGAIN_MS == 1_000 * LOOK_AGAIN_S
    wishes = Wishes(loss_percent=30, crashes=6)
    assert simulate(draw_scenario(1051, wishes)).violation == ""


def test_machine_that_raises__is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.rounds.attester.make_certificate", lambda *_: 1 // 0)
    assert simulate(calm()).violation.startswith("nothing raises: ZeroDivisionError")


def test_wishes__replace_what_is_drawn_and_nothing_else() -> None:
    drawn, told = draw_scenario(5), draw_scenario(5, Wishes(loss_percent=17))
    assert told == replace(drawn, loss_percent=17)


def test_three_shards_a_round__are_certified_each_under_a_dealer_of_its_own() -> None:
    outcome = simulate(calm(shards=3, rounds=4), keep_trace=True)
    assert outcome.certified_rounds == outcome.rounds == 3 * (4 + 2)
    dealers: dict[str, set[str]] = {}
    for line in seen(outcome, "says challenge"):
        at, _, dealer = line.split()[4:7]
        dealers.setdefault(at.split("/")[0], set()).add(f"{at}{dealer}")
    assert {len(drawn) for drawn in dealers.values()} == {3}
    assert all(len({one[-2:] for one in drawn}) == 3 for drawn in dealers.values())
    certified = {line.split()[3] for line in seen(outcome, "certified") if line.split()[1] == "v0"}
    assert {f"{round_}/{shard}" for round_ in range(4) for shard in range(3)} <= certified


def test_shards__leave_the_rest_of_a_scenario_as_it_was() -> None:
    drawn = [draw_scenario(seed).shards for seed in range(60)]
    assert set(drawn) == {1, 2, 3}
    assert replace(draw_scenario(5, Wishes(shards=3)), shards=1) == draw_scenario(5, Wishes(shards=1))


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(validators=3),
        Wishes(encoders=4),
        Wishes(validators=4, byzantine=5),
        Wishes(validators=4, shards=5),
    ],
)
def test_impossible_wishes__are_refused(wishes: Wishes) -> None:
    with pytest.raises(ScenarioError, match=r"at least|more members|dealer of its own"):
        draw_scenario(0, wishes)


def test_validator_given_stake__deals_attests_and_votes_from_its_first_epoch_on() -> None:
    outcome = simulate(calm(joiners=1, giver=-1, rounds=20), keep_trace=True)
    assert (outcome.violation, outcome.certified_rounds) == ("", outcome.rounds)
    assert not seen(outcome, "evidence")
    assert not seen(outcome, "rejects")
    assert len(seen(outcome, "v3   says stake-transfer")) == 1
    own = [line for line in seen(outcome, " j0 ") if " says " in line]
    assert {line.split(" says ")[1].split()[0] for line in own} >= {"attestation", "prevote", "precommit"}
    # The record of epoch 1 takes it up, that of epoch 2 lets it arrive, in round 12: nothing before.
    rounds = [int(line.split(" says ")[1].split()[1].split("/")[0]) for line in own]
    assert min(rounds) == 12


def test_giver_that_lies__takes_what_it_gave_down_with_it() -> None:
    outcome = simulate(calm(joiners=1, giver=0, rounds=20, lies=((Lie.EQUIVOCATE,),)), keep_trace=True)
    assert seen(outcome, "v0   says stake-transfer")
    assert seen(outcome, "accepts evidence")
    assert not [line for line in seen(outcome, " j0 ") if " says " in line]


def test_stake_of_nowhere__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = next_stakes

    def generous(members: Epoch, transfers: Any, *others: Any) -> Stakes:
        found = honest(members, transfers, *others)
        # What leaves is not taken off.
        back = {one.signer: one.body.amount for one in transfers}
        states = tuple(
            msgspec.structs.replace(state, stake=state.stake + back.get(state.public_key, 0))
            for state in found.validators
        )
        return found._replace(validators=states)

    monkeypatch.setattr(protocol.epochs.transition, "next_stakes", generous)
    assert "more stake than genesis" in simulate(calm(joiners=1, rounds=20)).violation


def test_stake_that_vanishes__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = next_stakes

    def careless(members: Epoch, *others: Any) -> Stakes:
        return honest(members, *others)._replace(transfers=())

    monkeypatch.setattr(protocol.epochs.transition, "next_stakes", careless)
    assert simulate(calm(joiners=1, rounds=20)).violation.startswith("stake is conserved")
