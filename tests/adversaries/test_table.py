"""The adversary table: the worst of its seeds, rows that survive a stop, and its command."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import node.bench.table
from node.bench.adversaries import ATTACKS
from node.bench.errors import BenchError
from node.bench.measure import Figures, baseline, measure
from node.bench.picture import draw_table
from node.bench.row_store import FILES_MAX, RowStore
from node.bench.shards import Setting, Shard, settings_of
from node.bench.table import BETTER, Case, Row, attack_names, cases_of, measured, worst_rows
from node.bench.texts import Split
from node.cli.errors import ExitCode
from scoring import HARDENED, LITERAL
from tests.support.cli import deltamesh
from tests.support.embedded_shard import NAMES, embedded

torch.set_num_threads(1)


def small_shard(attackers: int) -> Shard:
    answers, atoms, share = embedded()
    past = torch.from_numpy(answers.inverse[:, :, 0])
    return Shard(answers, past, atoms, share, np.arange(len(answers) - attackers, len(answers)))


def some_figures(value: float) -> Figures:
    return Figures(*[value] * len(fields(Figures)))


def test_measure__of_attackers_who_answer_nothing_is_the_honest_alone() -> None:
    shard = small_shard(2)
    figures = measure(shard, ATTACKS["poison-nan"](shard.scene(0)), HARDENED, baseline(shard, HARDENED))
    assert figures.weight_captured == figures.attacker_score == 0
    assert abs(figures.displacement) < 1e-9
    assert figures.displacement_shaped < 1e-6
    assert figures.false_alarms == 0
    assert figures.honest_score == pytest.approx(figures.honest_score_alone, abs=1e-9)


def test_measure__of_zeros_by_the_literal_rule_is_all_the_weight() -> None:
    shard = small_shard(2)
    alone = baseline(shard, LITERAL)
    figures = measure(shard, ATTACKS["zero"](shard.scene(0)), LITERAL, alone)
    assert figures.weight_captured > 0.9
    # Zeros take the length of the consensus, not its direction.
    assert figures.displacement < 0.01


def test_measure__of_one_more_honest_encoder_pulls_the_consensus_its_way() -> None:
    shard = small_shard(3)
    figures = measure(shard, shard.scene(0).own, HARDENED, baseline(shard, HARDENED))
    assert figures.pull > 0
    assert 0 < figures.displacement < figures.displacement_shaped


def test_worst__is_taken_figure_by_figure_and_low_is_worse_for_the_honest_score() -> None:
    rows = [Case("zero", Setting(NAMES, 1), seed) for seed in (0, 1)]
    (worst,) = worst_rows(
        [(rows[0], {HARDENED.name: some_figures(0.2)}), (rows[1], {HARDENED.name: some_figures(0.1)})]
    )
    assert worst.figures.weight_captured == worst.figures.displacement == 0.2
    assert worst.figures.honest_score == 0.1


def test_cases__have_every_attack_in_five_settings_and_the_better_encoder_once_a_shard() -> None:
    settings = settings_of([f"e{number}" for number in range(30)])
    assert [setting.name for setting in settings] == ["3 of 30", "10 of 30", "14 of 30", "1 of 8", "3 of 8"]
    cases = cases_of(attack_names(), settings, 2)
    assert len(cases) == 2 * (5 * len(ATTACKS) + 2)
    assert {case.setting.name for case in cases if case.attack == BETTER} == {"1 of 30", "1 of 8"}
    with pytest.raises(BenchError, match="`zeros`"):
        cases_of(["zeros"], settings, 1)
    with pytest.raises(BenchError, match="8 or more"):
        settings_of(["wordllama-256"] * 9)


def test_rows__are_not_measured_twice_and_a_line_cut_off_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Counting:
        def __init__(self, *_: object) -> None:
            pass

        def figures(self, case: Case) -> dict[str, Figures]:
            done.append(case.key)
            return {HARDENED.name: some_figures(len(done))}

    monkeypatch.setattr(node.bench.table, "_Seed", Counting)
    monkeypatch.setattr(node.bench.table, "_question", lambda *_: "question")
    cases = cases_of(["zero", "constant"], settings_of(NAMES), 1)
    first = list(measured(cases, Split.TUNE, tmp_path))
    assert list(measured(cases, Split.TUNE, tmp_path)) == first
    assert len(done) == len(cases)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_text(file.read_text()[:-30])
    assert len(list(measured(cases, Split.TUNE, tmp_path))) == len(cases)
    assert done[len(cases) :] == [cases[-1].key]


def test_row_store__keeps_the_newest_files_only(tmp_path: Path) -> None:
    for question in range(FILES_MAX + 3):
        RowStore(tmp_path, str(question)).put("key", {})
    assert len(list(tmp_path.glob("*.jsonl"))) == FILES_MAX
    assert RowStore(tmp_path, str(FILES_MAX + 2)).get("key") == {}


def test_picture__is_sound_xml_with_every_row() -> None:
    rows = [Row(name, "1 of 8", rule, some_figures(0.25)) for name in ATTACKS for rule in ("a<b", "c")]
    text = "".join(ElementTree.fromstring(draw_table(rows, "Weights & more")).itertext())
    assert all(name in text for name in ATTACKS)
    assert text.count("0.25") == len(rows)


def test_command__prints_and_writes_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(cases: list[Case], *_: object) -> list[tuple[Case, dict[str, Figures]]]:
        return [(case, {HARDENED.name: some_figures(0.125)}) for case in cases]

    monkeypatch.setattr(node.bench.table, "measured", known)
    file, picture = tmp_path / "rows.json", tmp_path / "rows.svg"
    shard = [word for name in NAMES for word in ("--encoder", name)]
    asked = ["--attack", "zero", "--seeds", "2", "--json", str(file), "--picture", str(picture), *shard]
    ended = deltamesh("bench", "adversaries", *asked)
    assert ended.code == ExitCode.OK, ended.err
    assert "0.125" in ended.out
    document = json.loads(file.read_text())
    assert document["encoders"] == list(NAMES)
    assert {row["setting"] for row in document["rows"]} == {"1 of 8", "3 of 8", "4 of 8"}
    assert picture.read_text().startswith("<svg")


def test_command__refuses_what_it_does_not_know(tmp_path: Path) -> None:
    for asked in (["--attack", "zeros"], ["--split", "test"], ["--encoder", "wordllama-256"]):
        ended = deltamesh("bench", "adversaries", *asked, "--cache", str(tmp_path))
        assert ended.code == ExitCode.BAD_INPUT
        assert asked[1] in ended.error or "8 or more" in ended.error
    ended = deltamesh("bench", "adversaries", "--json", str(tmp_path / "gone" / "rows.json"))
    assert ended.code == ExitCode.BAD_INPUT
