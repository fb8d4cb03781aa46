"""Forgers in the simulated network: they use what they were shown, and records do what probes say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from blake3 import blake3

from node.bench.scene import Rows, unit
from node.bench.waves import Order
from node.cli.errors import ExitCode
from node.sim.waves.dealer import Probes
from node.sim.waves.embeddings import Embeddings
from node.sim.waves.forging import ForgingEncoder
from node.sim.waves.run import NEVER, Case, Run, run_case
from node.sim.waves.table import all_cases, panels_of, rows_of
from node.sim.waves.world import EPOCH_ROUNDS, VALIDATORS, waves_world
from protocol.report import DIMENSIONS
from tests.support.cli import deltamesh

torch.set_num_threads(1)

WIDTH, TOPICS = 96, 300
NAMES = tuple(f"model-{index}" for index in range(6))
LATER_WAVES = {Order.AT_ONCE: [{1, 2, 3}] * 3, Order.WAVES: [{1}, {1, 2}, {1, 2, 3}]}


class WordSums(Embeddings):
    """Sums of word vectors that the models share in part; nothing is loaded or kept on disk."""

    def __init__(self) -> None:
        super().__init__(NAMES, Path())

    def rows(self, name: str, views: Sequence[str]) -> Rows:
        rows = np.zeros((len(views), DIMENSIONS), np.float32)
        for row, view in zip(rows, views, strict=True):
            row[:WIDTH] = np.sum([vector(name, word) for word in view.split()], axis=0)
        return unit(rows)


@cache
def vector(name: str, word: str) -> Rows:
    """Words of one topic lie near each other, and each model has its own idea of every word."""
    seeds = (word.split(".")[0], word, name + word)
    topic, common, own = (
        np.frombuffer(blake3(seed.encode()).digest(length=WIDTH), np.int8) + 0.5 for seed in seeds
    )
    return np.asarray(0.5 * topic + common + 0.5 * own, dtype=np.float32)


@cache
def texts() -> tuple[str, ...]:
    """Enough for ten blocks of each validator; what an item's words share is its topic."""
    draw = np.random.default_rng(5)
    return tuple(
        " ".join(f"t{item % TOPICS}.{word}" for word in draw.integers(60, size=16))
        for item in range(VALIDATORS * 64 * 10)
    )


@cache
def run(attack: str, order: Order, probes: Probes = Probes.COUNTED, rounds: int = 3) -> Run:
    return run_case(Case(attack, order, probes), WordSums(), texts(), rounds, 0)


@pytest.mark.parametrize("order", list(Order))
def test_forger__has_seen_what_was_dealt_before_it_commits_and_no_more(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, set[int]]] = []
    honest = ForgingEncoder._forged

    def spy(self: ForgingEncoder, shown: dict[int, tuple[str, ...]], wave: int) -> Rows:
        seen.append((wave, set(shown)))
        return honest(self, shown, wave)

    monkeypatch.setattr(ForgingEncoder, "_forged", spy)
    found = run_case(Case("leak-20", order, Probes.COUNTED), WordSums(), texts(), 2, 1)
    assert np.isfinite(found.weight).all()
    assert {wave for wave, _ in seen} == {1, 2, 3}
    assert all(shown == LATER_WAVES[order][wave - 1] for wave, shown in seen)


def test_honest_members__certify_every_round_and_nobody_is_exposed() -> None:
    found = run("honest", Order.WAVES)
    assert np.isfinite(found.weight).all()
    assert (found.honest_exposed, set(found.exposed_after.tolist())) == (0, {NEVER})
    assert not found.out.any()


def test_who_sees_all_at_once__wins_what_the_waves_take_away() -> None:
    honest, at_once, in_waves = (
        np.mean(run(attack, order).weight[1:])
        for attack, order in (("honest", Order.WAVES), ("leak-20", Order.AT_ONCE), ("leak-20", Order.WAVES))
    )
    assert at_once > honest + 0.03
    assert in_waves <= honest + 0.02


def test_same_seed__gives_the_same_run_and_another_seed_another() -> None:
    again = run_case(Case("leak-20", Order.WAVES, Probes.COUNTED), WordSums(), texts(), 3, 0)
    assert np.array_equal(again.weight, run("leak-20", Order.WAVES).weight)
    assert (
        waves_world(6, texts(), 3, 0).genesis.network_id != waves_world(6, texts(), 3, 1).genesis.network_id
    )


@pytest.mark.slow
def test_exposed_forgers__lose_their_weight_two_epochs_later_unless_probes_are_ignored() -> None:
    rounds = 3 * EPOCH_ROUNDS + 2
    counted, ignored = (run("leak-20", Order.AT_ONCE, probes, rounds) for probes in Probes)
    epochs = (counted.exposed_after - 1) // EPOCH_ROUNDS  # every round was certified
    out_from = EPOCH_ROUNDS * (int(epochs.max()) + 2)
    assert out_from < rounds
    assert not counted.out[: EPOCH_ROUNDS * (int(epochs.min()) + 2)].any()
    assert counted.out[out_from:].all()
    assert not counted.weight[out_from:].any()
    assert not ignored.out.any()
    assert np.array_equal(counted.weight[: 2 * EPOCH_ROUNDS], ignored.weight[: 2 * EPOCH_ROUNDS])
    assert ignored.weight[out_from:].min() > 0.3


def made(weight: Sequence[float], after: Sequence[int]) -> Run:
    """A run of these weights; forgers are out from round 2 on."""
    rounds = len(weight)
    out = np.array([0.0, 0.0, *[1.0] * (rounds - 2)])
    return Run(np.array(weight), np.full(rounds, 0.5), np.array(after), 1, out)


def test_rows__are_the_worst_of_the_seeds_and_leave_void_rounds_out() -> None:
    case = Case("leak-20", Order.AT_ONCE, Probes.COUNTED)
    nan = float("nan")
    (row,) = rows_of({case: [made([0.9, nan, 0.3], [2, NEVER]), made([0.8, 0.6, 0.0], [1, 3])]}, 1)
    assert row.weight == pytest.approx(0.6)
    assert row.weight_last == 0.3
    assert (row.exposed_after, row.exposed_share, row.out_from) == (2.5, 0.75, 2)
    assert (row.honest_exposed, row.certified) == (2, 5)
    (never,) = rows_of({case: [made([0.9, 0.9, 0.9], [2, NEVER, NEVER])]}, 1)
    assert never.exposed_after is None


def test_panels__have_a_line_for_every_condition_of_each_forgery() -> None:
    panels = panels_of({case: [made([0.1, 0.2, 0.3], [NEVER])] for case in all_cases()})
    assert "honest" not in panels
    assert {len(lines) for lines in panels.values()} == {4}


def test_command__prints_a_row_for_every_case_and_draws_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[tuple[Case, int]] = []

    def stub(case: Case, _: Embeddings, __: object, rounds: int, seed: int, on_round: object) -> Run:
        ran.append((case, seed))
        return made([0.1 * rounds, 0.2, 0.3], [NEVER, 1, 2, 2])

    monkeypatch.setattr("node.sim.waves.embeddings.encoder_names", lambda: NAMES)
    monkeypatch.setattr("node.bench.texts.split_texts", lambda _: ())
    monkeypatch.setattr("node.sim.waves.run.run_case", stub)
    ended = deltamesh("sim", "waves", "--rounds", 3, "--seeds", 2, "--json", "--picture", tmp_path / "w.svg")
    assert ended.code == ExitCode.OK, ended.err
    assert ran == [(case, seed) for seed in (0, 1) for case in all_cases()]
    assert [row["attack"] for row in ended.json["rows"]] == [case.attack for case in all_cases()]
    assert ended.json["rows"][0]["exposed_after"] == 2
    assert ">forged-inverse<" in (tmp_path / "w.svg").read_text()
    plain = deltamesh("sim", "waves", "--rounds", 3)
    assert "forged-inverse" in plain.out


def test_picture_in_a_missing_folder__is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    ended = deltamesh("sim", "waves", "--picture", tmp_path / "no" / "waves.svg")
    assert ended.code == ExitCode.BAD_INPUT
    assert ended.error
