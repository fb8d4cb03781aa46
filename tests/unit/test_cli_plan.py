"""`deltamesh plan shard`: what it prints, reads, draws and refuses."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from config.genesis import save_genesis
from node.cli.errors import ExitCode
from node.planning.stakes_file import StakesFileError, read_stakes
from tests.support.cli import deltamesh
from tests.support.genesis import small_network

PLAN = ("plan", "shard")


def plan_json(*words: object) -> dict[str, object]:
    document = deltamesh(*PLAN, *words, "--json").json
    assert isinstance(document, dict)
    return document


def test_plan__prints_size_quorum_and_what_others_would_buy() -> None:
    shown = deltamesh(*PLAN, "--nodes", 1000, "--byzantine", "20%", "--size", 71).out
    assert "70 of 1,000 encoders" in shown
    assert "9.6e-10, budget 1e-09" in shown
    assert "200 bad" in shown
    rows = {line[:14].strip(): line for line in shown.splitlines()}
    assert rows["--size 71"].rstrip().endswith("not kept"), "one more seat, the same bar"
    assert "98.31%" in rows["quorum 90 %"]


def test_plan__as_json_holds_the_same_figures() -> None:
    document = plan_json("--nodes", 100, "--byzantine", "1/3", "--budget", "1e-9")
    assert (document["size"], document["bad"], document["method"]) == (66, 33, "exact")
    lines = document["compared"]
    assert isinstance(lines, list)
    assert lines[0]["name"] == "plan"
    assert lines[0]["keeps_budgets"]
    assert lines[0]["takeover"] == 0
    assert document["budget"] == {"security": 1e-9, "liveness": 0.01}


def test_plan__of_a_genesis_compares_its_own_shard(tmp_path: Path) -> None:
    genesis, _, _ = small_network(4, 9, items=8, shard_size=5)
    save_genesis(tmp_path / "genesis.json", genesis)
    words = ("--genesis", tmp_path / "genesis.json", "--budget", "10%", "--stall-budget", "20%")
    document = plan_json(*words)
    assert document["nodes"] == 9
    assert document["method"] == "exact", "equal stakes need no draws"
    own = {line["name"]: line for line in document["compared"]}["this genesis"]  # type: ignore[attr-defined]
    assert (own["size"], own["quorum"]) == (5, genesis.parameters.encoders_min)


def test_plan__by_stake_tells_bounds_and_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    file = tmp_path / "stakes.csv"
    file.write_text("key,stake\n" + "".join(f"n{i},{10 + i % 9}\n" for i in range(60)))
    words = ("--stakes", file, "--budget", "1%", "--stall-budget", "5%", "--draws", 300, "--seed", 4)
    first = plan_json(*words)
    assert first == plan_json(*words)
    assert (first["method"], first["draws"], first["seed"], first["nodes"]) == ("draws", 300, 4, 60)
    line = first["compared"][0]  # type: ignore[index]
    assert line["takeover"] <= line["upper_bounds"][0] < 0.01
    assert line["stall"] <= line["upper_bounds"][1] < 0.05


def test_plan__with_most_stake_in_one_node_is_told_as_unsafe(tmp_path: Path) -> None:
    file = tmp_path / "stakes"
    file.write_text("900\n" + "1\n" * 99)
    ended = deltamesh(*PLAN, "--stakes", file, "--draws", 1000)
    assert ended.code == ExitCode.BAD_INPUT
    assert "security budget" in ended.err
    assert "the richest node holds 90%" in ended.err
    file.write_text("300\n" + "\n".join(f"{9 + i % 3}" for i in range(70)))
    shown = deltamesh(
        *PLAN,
        "--stakes",
        file,
        "--draws",
        300,
        "--budget",
        "5%",
        "--stall-budget",
        "9%",
        "--byzantine",
        "1/8",
    ).out
    assert "Unsafe: the richest node alone holds 30% of the stake" in shown


@pytest.mark.parametrize("stakes", ["", "".join(f"{8 + i % 3}\n" for i in range(50))])
def test_picture__is_an_svg_that_marks_the_chosen_size(tmp_path: Path, stakes: str) -> None:
    (tmp_path / "stakes").write_text(stakes)
    who = ("--stakes", tmp_path / "stakes", "--draws", 300) if stakes else ("--nodes", 200)
    words = (*who, "--budget", "1%", "--stall-budget", "5%", "--picture", tmp_path / "plan.svg")
    document = plan_json(*words)
    text = (tmp_path / "plan.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert f"size {document['size']}, quorum {document['quorum']}" in text
    assert ">1e-2<" in text
    assert ("<circle" in text) == bool(stakes)
    heights = [float(y) for y in re.findall(r"L[\d.]+ ([\d.]+)", text)]
    assert len(set(heights)) > 10, "the curves do not lie on the floor"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), ExitCode.USAGE, "say in one way"),
        (("--nodes", 9, "--stakes", "x"), ExitCode.USAGE, "say in one way"),
        (("--nodes", 0), ExitCode.BAD_INPUT, "give 1 to"),
        (("--nodes", 9, "--byzantine", "few"), ExitCode.USAGE, "--byzantine 'few' is no share"),
        (("--nodes", 9, "--byzantine", "1/0"), ExitCode.USAGE, "no share"),
        (("--nodes", 9, "--budget", "1e-999999999"), ExitCode.USAGE, "no share"),
        (("--nodes", 9, "--byzantine", "120%"), ExitCode.BAD_INPUT, "byzantine share 1.2"),
        (("--nodes", 9, "--size", 10, "--budget", "0"), ExitCode.BAD_INPUT, "security budget"),
        (("--nodes", 5000, "--byzantine", "45%"), ExitCode.BAD_INPUT, r"what would do, each alone: --byz"),
        (("--nodes", 2000, "--quorum", "95%"), ExitCode.BAD_INPUT, "the liveness budget"),
        (("--nodes", 9, "--picture", "/nowhere/at/all.svg"), ExitCode.BAD_INPUT, "does not exist"),
        (("--stakes", "/nowhere/at/all"), ExitCode.BAD_INPUT, "cannot read"),
    ],
)
def test_plan__refuses_with_a_sentence(words: tuple[object, ...], code: ExitCode, message: str) -> None:
    ended = deltamesh(*PLAN, *words)
    assert ended.code == code
    assert re.search(message, ended.err)


def test_stakes_file__skips_header_comments_and_zeros(tmp_path: Path) -> None:
    file = tmp_path / "stakes"
    file.write_text("key, stake\n\n# all of them\na, 5\nb,0 # left\n7\n")
    assert read_stakes(file) == (5, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1\na,2\n", "line 2: a is there twice"),
        ("a,one\n", "line 1: 'one' is no stake"),
        ("-1\n", "is no stake"),
        (f"{1 << 53}\n", "is no stake"),
        ("0\n", "names no node with stake"),
        ("", "names no node with stake"),
    ],
)
def test_stakes_file__refuses_what_is_no_stake(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "stakes").write_text(text)
    with pytest.raises(StakesFileError, match=message):
        read_stakes(tmp_path / "stakes")
