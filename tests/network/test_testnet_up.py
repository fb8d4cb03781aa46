"""The command a newcomer runs first: a network of real processes, from a cold start to a verified report."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Ended, process
from tests.support.testnet_process import assert_nothing_runs, end, left_of, start

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
VALIDATORS, ENCODERS, CHEATERS, ROUNDS = 4, 8, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def ended(folder: Path) -> Ended:
    run = start(
        folder,
        *("--validators", str(VALIDATORS), "--encoders", str(ENCODERS), "--cheaters", str(CHEATERS)),
        *("--rounds", str(ROUNDS), "--json", str(folder / "summary.json")),
    )
    return end(run)


@pytest.fixture(scope="module")
def summary(folder: Path, ended: Ended) -> Any:
    assert ended.code == 0, ended.out + ended.err
    return json.loads((folder / "summary.json").read_text())


def test_run__ends_well_says_where_everything_is_and_leaves_nothing_running(
    folder: Path, ended: Ended
) -> None:
    assert ended.code == 0, ended.out + ended.err
    assert f"{ROUNDS} rounds are done" in ended.out
    assert str(folder / "net") in ended.err
    assert "Traceback" not in ended.out + ended.err
    assert_nothing_runs(folder)


def test_summary__holds_every_round_certified_with_its_latencies(summary: Any) -> None:
    assert (summary["validators"], summary["encoders"], summary["cheaters"]) == (
        VALIDATORS,
        ENCODERS,
        CHEATERS,
    )
    assert summary["rounds_certified"] == summary["rounds_dealt"] == len(summary["rounds"]) >= ROUNDS
    assert 0 < summary["first_certificate_ms"] <= summary["elapsed_ms"]
    for round_ in summary["rounds"]:
        assert round_["state"] == "certified"
        assert round_["items"] >= 64
        assert round_["disputes"] == 0
        latency_ms = round_["latency_ms"]
        assert {"wave_1", "wave_2", "wave_3", "reveals", "scoring", "certified"} <= latency_ms.keys()
        assert all(length_ms > 0 for length_ms in latency_ms.values())
        assert latency_ms["certified"] >= latency_ms["wave_1"] + latency_ms["wave_2"] + latency_ms["wave_3"]
        certificate = round_["certificate"]
        assert certificate["stake_share"] >= 2 / 3
        assert len(set(certificate["attested_by"])) >= 3
        assert len(bytes.fromhex(certificate["report"])) == 32


def test_summary__holds_every_encoder_with_bytes_scores_and_weights(summary: Any) -> None:
    for round_ in summary["rounds"]:
        encoders = round_["encoders"]
        assert len(encoders) == ENCODERS
        assert sum(one["weight"] for one in encoders) == pytest.approx(1.0, abs=1e-6)
        assert all(one["score"] >= 0 and one["terms"] for one in encoders)
        honest = [one for one in encoders if one["cheats"] is None]
        answered = [one for one in honest if one["waves_answered"] == [1, 2, 3] and one["revealed"]]
        # A loaded machine may make one of them late in the first round.
        assert len(answered) >= len(honest) - 1
        # Their vectors, once, and little beside them. The same answers of several encoders travel once.
        assert all(one["bytes_of_a_vector"] == 4096 for one in encoders)
        assert all((one["bytes_per_vector"] or 0) < 1.1 * 4096 for one in encoders)
        for model in {one["runs"] for one in answered}:
            assert sum(one["bytes_per_vector"] or 0 for one in encoders if one["runs"] == model) >= 4096
        # Three models stand behind six honest encoders. What the cap takes of them falls to whoever scores:
        # .14 was seen for one who forges inverses at two thirds of the best score, until probes expose it;
        # .28 on a loaded machine; with one of the honest late more falls to it.
        most = 0.3 if len(answered) == len(honest) else 0.4
        cheaters = [one for one in encoders if one["cheats"] is not None]
        assert sum(one["weight"] for one in cheaters) <= most
        best = max(one["score"] for one in honest)
        assert all(one["score"] <= 0.8 * best for one in encoders if one["cheats"] is not None)
    means = {row["public_key"]: row["score"] for row in summary["means"]}
    assert len(means) == ENCODERS


def test_report__can_be_exported_and_verified_where_the_network_is_unknown(
    folder: Path, summary: Any
) -> None:
    number = summary["rounds"][0]["round"]
    exports = []
    for name in (f"validator-{n}" for n in range(1, VALIDATORS + 1)):
        report, home = folder / f"{name}.dmr", folder / "net" / name
        exports.append((report, process("rounds", "export", number, "--to", report, "--home", home)))
    # Who got the round when it was over has its report, not its answers, and says who has.
    assert all("are not held here" in ended.err for _, ended in exports if ended.code)
    report = next(report for report, ended in exports if not ended.code)
    verified = process("verify", report, "--network-id", summary["network_id"])
    assert verified.code == 0, verified.err
    refused = process("verify", report, "--network-id", "00" * 32)
    assert refused.code != 0
    assert refused.error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal__stops_every_node_in_time(tmp_path: Path, number: signal.Signals) -> None:
    run = start(tmp_path, "--validators", "1", "--encoders", "3", "--cheaters", "0")
    try:
        deadline_s = time.monotonic() + 90
        # All are there once the last encoder is: they are started in order.
        while len(left_of(tmp_path)) < 1 + 1 + 3 and time.monotonic() < deadline_s:
            assert run.poll() is None, run.communicate()
            time.sleep(0.1)
        run.send_signal(number)
        stopped_s = time.monotonic()
        ended = end(run, 30)
    finally:
        run.kill()
    assert time.monotonic() - stopped_s < 20
    assert "Traceback" not in ended.out + ended.err
    assert_nothing_runs(tmp_path)


def test_fleet_that_is_killed__takes_its_nodes_with_it(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems do not tell a process that its parent is gone")
    run = start(tmp_path, "--validators", "1", "--encoders", "3", "--cheaters", "0")
    deadline_s = time.monotonic() + 90
    while len(left_of(tmp_path)) < 1 + 1 + 3 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    run.kill()
    run.communicate()
    deadline_s = time.monotonic() + 20
    while left_of(tmp_path) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert_nothing_runs(tmp_path)


def test_summary_that_could_not_be_written__is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = end(start(tmp_path, "--json", str(tmp_path / "nowhere" / "summary.json")), 30)
    assert ended.code != 0
    assert "create it" in ended.error
    assert not (tmp_path / "net").exists()
