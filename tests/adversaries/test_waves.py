"""The demonstration of the waves: forgers use what they have seen, the test exposes them, the rows add up."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import node.bench.accusations
import node.bench.waves_run
from node.bench.accusations import Accusations
from node.bench.measure import Figures
from node.bench.probed import NEVER, PROBES_A_ROUND, Probed, linked, rounds_of, tried
from node.bench.scene import Answers, Rows, Scene, unit
from node.bench.shards import Shard
from node.bench.waves import FORGERIES, Order
from node.bench.waves_picture import draw_waves
from node.bench.waves_run import Case, Outcome, _Seed, cases, panels_of, rows_of
from node.cli.errors import ExitCode
from tests.support.cli import deltamesh
from tests.support.embedded_shard import embedded, scene

torch.set_num_threads(1)

IN_WAVES = pytest.mark.parametrize(
    "name", [name for name, by_order in FORGERIES.items() if Order.WAVES in by_order]
)


def past_of(of: Scene) -> Rows:
    """Full views of past rounds: other texts than the scene's would do, its own reversed inverses will."""
    return of.own.inverse[:, ::-1, 0]


@cache
def synthetic(encoders: int = 12, items: int = 64, seed: int = 0) -> tuple[Answers, Probed]:
    """Encoders with spaces of their own; the probe lacks a little of the fragment."""
    draw = np.random.default_rng(seed)
    mask, inverse, lost = (
        unit(draw.standard_normal((encoders, items, 48)).astype(np.float32)) for _ in range(3)
    )
    answers = Answers(unit(mask + inverse), mask[:, :, None], inverse[:, :, None])
    of_inverse = draw.random(items) < 0.5
    probes = Probed(np.where(of_inverse[None, :, None], inverse, mask), of_inverse)
    return answers, Probed(unit(probes.answers - np.float32(0.3) * lost), of_inverse)


def leak(answers: Answers, count: int, strength: float) -> Answers:
    """The first `count` encoders mix the full view into both parts."""
    whole = answers.full[:count, :, None]
    parts = []
    for rows in (answers.mask, answers.inverse):
        bent = rows.copy()
        bent[:count] = unit(np.float32(1 - strength) * rows[:count] + np.float32(strength) * whole)
        parts.append(bent)
    return replace(answers, mask=parts[0], inverse=parts[1])


@IN_WAVES
def test_forger_in_waves__answers_no_part_with_what_comes_later(name: str) -> None:
    first = scene()
    other = unit(np.random.default_rng(1).standard_normal(first.own.full.shape).astype(np.float32))
    later_full = replace(first, own=replace(first.own, full=other))
    plain, changed = (FORGERIES[name][Order.WAVES](one, past_of(first)) for one in (first, later_full))
    assert np.array_equal(plain.mask, changed.mask)
    assert np.array_equal(plain.inverse, changed.inverse)
    later_inverse = replace(first, own=replace(first.own, inverse=other[:, :, None]))
    assert np.array_equal(plain.mask, FORGERIES[name][Order.WAVES](later_inverse, past_of(first)).mask)


@pytest.mark.parametrize("name", ["forged-inverse", "leak-10", "leak-20", "leak-40"])
def test_forger_who_sees_all__forges_from_the_full_view(name: str) -> None:
    first = scene()
    other = unit(np.random.default_rng(1).standard_normal(first.own.full.shape).astype(np.float32))
    changed = replace(first, own=replace(first.own, full=other))
    forge = FORGERIES[name][Order.AT_ONCE]
    assert not np.allclose(forge(first, past_of(first)).inverse, forge(changed, past_of(first)).inverse)


@IN_WAVES
def test_forgery__is_made_of_unit_rows(name: str) -> None:
    first = scene()
    for rows in vars(FORGERIES[name][Order.WAVES](first, past_of(first))).values():
        assert np.allclose(np.linalg.norm(rows, axis=-1), 1, atol=1e-4)


def test_trial_of_honest_encoders__exposes_nobody() -> None:
    answers, probed = synthetic()
    trial = tried(answers, probed, 0)
    assert (trial.exposed_after == NEVER).all()
    assert trial.highest.max() < 0.5
    assert trial.bent_share.max() <= 0.08


def test_trial_of_leakers__exposes_them_and_nobody_else() -> None:
    answers, probed = synthetic()
    trial = tried(leak(answers, 4, 0.4), probed, 0)
    assert trial.exposed_after[:4].max() <= 3
    assert (trial.exposed_after[4:] == NEVER).all()
    assert trial.highest[:4].min() >= 1


def test_who_links_probes_to_fragments__is_not_exposed() -> None:
    answers, probed = synthetic()
    given = leak(answers, 4, 0.4)
    own = [0, 1, 2, 3]
    bent = linked(probed.encoders(own), answers.encoders(own), given.encoders(own))
    rows = np.concatenate([bent.answers, probed.answers[4:]])
    trial = tried(given, Probed(rows, probed.of_inverse), 0)
    plain = tried(given, probed, 0)
    assert trial.bent_share[:4].max() < 0.5 * plain.bent_share[:4].min()


def test_who_answers_probes_as_full_views__is_exposed_at_once() -> None:
    answers, probed = synthetic()
    lazy = probed.answers.copy()
    lazy[:4] = answers.full[:4]
    trial = tried(answers, replace(probed, answers=lazy), 0)
    assert (trial.exposed_after[:4] == 1).all()
    assert (trial.exposed_after[4:] == NEVER).all()


def test_every_item__is_probed_at_most_once() -> None:
    assert PROBES_A_ROUND == 16
    assert [rounds_of(items) for items in (15, 16, 64, 256)] == [0, 1, 4, 16]


def outcome(value: float, after: list[int], rounds: int = 4) -> Outcome:
    figures = Figures(*[value] * len(fields(Figures)))
    weight = np.array([value if max(after) >= round_ else 0.0 for round_ in range(1, rounds + 1)])
    return Outcome(figures, np.array(after), 0, weight, weight)


def test_row__is_the_worst_seed_and_the_median_of_the_attackers() -> None:
    case = Case("leak-20", Order.AT_ONCE)
    (row,) = rows_of({case: [outcome(0.5, [1, 2, 2]), outcome(0.9, [2, 3, NEVER])]})
    assert row.weight == row.moved == row.weight_last == 0.9
    assert row.honest_score == 0.5
    assert row.exposed_after == 2
    assert row.exposed_share == pytest.approx(5 / 6)
    assert row.document()["attack"] == "leak-20"
    (never,) = rows_of({case: [outcome(0.5, [NEVER, NEVER, 1])]})
    assert never.exposed_after is None


def test_outcome__takes_weight_from_the_exposed_and_from_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, atoms, share = embedded()
    past = torch.from_numpy(answers.inverse[:, :, 0])
    shard = Shard(answers, past, atoms, share, np.array([5, 6, 7]))
    probed = Probed(answers.mask[:, :, 0], np.zeros(answers.full.shape[1], dtype=bool))
    bench = _Seed.__new__(_Seed)
    turned = answers.full[::-1]  # the setting's order is another one than the shard's
    bench._setup(shard, Probed(probed.answers[::-1], probed.of_inverse), turned, 0)
    assert np.array_equal(bench._attackers.answers, probed.answers[5:])
    assert np.array_equal(bench._honest.answers, probed.answers[:5])
    real = bench._tried

    def exposing(given: Answers, answered: Probed) -> object:
        return replace(real(given, answered), exposed_after=np.array([1, 2, NEVER, *[NEVER] * 5]))

    monkeypatch.setattr(bench, "_tried", exposing)
    found = bench.outcome(Case("leak-40", Order.AT_ONCE))
    assert len(found.weight_by_round) == 4
    assert found.weight_by_round[0] == found.unprobed.weight_captured > 0
    assert found.honest_exposed == 0
    given = FORGERIES["leak-40"][Order.AT_ONCE](shard.scene(0), past.numpy()[5:])
    left = bench._figures(given, [np.array([False, False, True]), np.ones(3, dtype=bool)])
    assert left[0] is not None
    assert found.unprobed == left[1]
    assert found.weight_by_round[2] == found.weight_by_round[3] == left[0].weight_captured


def test_command__writes_rows_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canned = [(case, outcome(0.25, [1, 3, NEVER])) for case in cases()]
    monkeypatch.setattr(node.bench.waves_run, "outcomes", lambda *given: iter(canned))
    honest = [Accusations("any 16", 320, 0, 0.05, 0.1, 0.2)]
    monkeypatch.setattr(node.bench.accusations, "accusations", lambda *given: honest)
    rows, picture = tmp_path / "rows.json", tmp_path / "waves.svg"
    result = deltamesh("bench", "waves", "--seeds", "1", "--json", str(rows), "--picture", str(picture))
    assert result.code == 0, result.err
    told = json.loads(rows.read_text())
    assert {row["attack"] for row in told["rows"]} >= {"forged-inverse", "forged-full", "leak-20"}
    assert told["honest"][0]["exposed"] == 0
    assert "any 16" in result.out
    svg = ElementTree.fromstring(picture.read_text())
    assert len(svg.findall(".//{*}polyline")) >= 9


def test_command__names_a_folder_that_is_missing(tmp_path: Path) -> None:
    result = deltamesh("bench", "waves", "--json", str(tmp_path / "no" / "rows.json"))
    assert result.code == ExitCode.BAD_INPUT


def test_picture__has_a_panel_for_every_forgery_that_sees_all() -> None:
    results = {case: [outcome(0.5, [1, 2, 3])] for case in cases()}
    svg = draw_waves(panels_of(results), "a title")
    shown = {case.name for case in cases() if case.order is Order.AT_ONCE} - {"honest"}
    for case in cases():
        assert (f">{case.name}<" in svg) == (case.name in shown)
