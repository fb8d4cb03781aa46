"""A network that runs is measured: what a validator and an encoder show after a certified round."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import trio

import node.roles.encoder
from node.metrics.http import open_metrics
from node.metrics.registry import NodeMetrics
from tests.network.test_round_over_libp2p import PATIENCE_S, assert_no_faults
from tests.support.local_network import LocalNetwork, local_network
from tests.support.measured import series_of, value_of

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the encoders serve their metrics."""
    found: list[str] = []

    @contextmanager
    def noted(metrics: NodeMetrics, setting: str) -> Iterator[str]:
        with open_metrics(metrics, setting) as address:
            found.append(address)
            yield address

    monkeypatch.setattr(node.roles.encoder, "open_metrics", noted)
    return found


def fetch(address: str | None) -> str:
    assert address is not None
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return str(answer.read(), "utf-8")


async def scraped(address: str | None) -> str:
    return await trio.to_thread.run_sync(fetch, address)


def api_of(network: LocalNetwork, name: str) -> str | None:
    status = network.status(name)
    return None if status is None else status.api


async def test_certified_rounds__show_in_the_metrics_of_both_roles(
    tmp_path: Path, addresses: list[str]
) -> None:
    asked = {"metrics": "127.0.0.1:0"}
    async with local_network(tmp_path, encoder_settings=asked, api="127.0.0.1:0") as network:
        names = network.validators
        await network.until(
            lambda: all(len(network.certified(name)) >= 2 for name in names),
            PATIENCE_S,
            "two certified rounds",
        )
        validators = [await scraped(api_of(network, name)) for name in names]
        encoders = [await scraped(address) for address in addresses]
        assert_no_faults(network)

        # Killed, the processes that serve come back on their addresses, and no round has waited for them.
        served = {one for one in psutil.Process().children() if "node.api_process" in one.cmdline()}
        assert len(served) == len(names)
        for one in served:
            one.kill()
        before = len(network.certified(names[0]))
        await network.until(
            lambda: len(network.certified(names[0])) > before, PATIENCE_S, "the network goes on certifying"
        )
        for name in names:
            assert (
                shown(await scraped(api_of(network, name)), "deltamesh_rounds_total", state="certified") >= 2
            )
        assert_no_faults(network)
    for text in validators:
        assert shown(text, "deltamesh_rounds_total", state="certified") >= 1
        assert shown(text, "deltamesh_round_seconds_count") >= 1
        assert shown(text, "deltamesh_embeddings_total") > 0
        assert shown(text, "deltamesh_attested_ratio") >= 2 / 3
        assert shown(text, "deltamesh_score_term", term="local_outlier_factor", statistic="median") > 0
        assert shown(text, "deltamesh_wire_bytes_total", direction="in") > 0
        assert shown(text, "deltamesh_scoring_process_resident_memory_bytes") > 1 << 20
        assert shown(text, "deltamesh_collect_failures_total") == 0
        assert shown(text, "deltamesh_other_events_total") == 0
        assert series_of(text)["deltamesh_queue_length"]["queue"] >= {
            "driver",
            "recorder",
            "scoring",
            "items",
        }
    # Each dealt or attested: over all of them both were done.
    for task in ("score", "compare"):
        assert sum(shown(text, "deltamesh_scoring_seconds_count", task=task) for text in validators) >= 1
    for wave in ("1", "2", "3"):
        assert sum(shown(text, "deltamesh_wave_seconds_count", wave=wave) for text in validators) >= 1
    assert len(encoders) == 3
    for text in encoders:
        assert shown(text, "deltamesh_waves_total", outcome="answered") >= 3
        assert shown(text, "deltamesh_model_seconds_count", wave="3") >= 1
        assert shown(text, "deltamesh_own_stake") == 100
        assert shown(text, "deltamesh_peers", role="validator") >= 1
        assert shown(text, "deltamesh_other_events_total") == 0


def shown(text: str, name: str, **labels: str) -> float:
    """The value of a series; it is there."""
    value = value_of(text, name, **labels)
    assert value is not None, f"{name} {labels} is not shown"
    return value
