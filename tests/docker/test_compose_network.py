"""The network of docker-compose.yml, for real: image built, containers started, hurt and scaled."""

from __future__ import annotations

import os
import re
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from tests.support.compose import (
    IMAGE,
    Compose,
    build_image,
    docker,
    engine_answers,
    log_errors,
    log_lines,
    processes_in,
    status_in,
    wait_for,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1_500)]

VALIDATORS = tuple(f"validator-{number}" for number in range(1, 5))
ROUNDS_S = 240
"""For what takes some rounds of 12 s, on a machine that has other things to do."""
WEIGHT_OF_A_CHEATER_MAX = 0.01
CHAOS = {"CHAOS_EVERY_S": "12", "CHAOS_TIMES": "3"}
"""One failure of each kind; then the encoders have time to come back, however slow the machine is."""
CERTIFIED_THROUGH_CHAOS = 4


@pytest.fixture(scope="module")
def network() -> Iterator[Compose]:
    """4 validators, 4 honest encoders, 2 cheaters; gone afterwards, whatever happened."""
    if not engine_answers():
        pytest.skip("no container engine answers `docker info`: start one, or leave the mark `docker` out")
    image = os.environ.get("DELTAMESH_IMAGE") or IMAGE
    if "DELTAMESH_IMAGE" not in os.environ:
        build_image(image)
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    compose = Compose(
        f"deltamesh-test-{uuid4().hex[:8]}",
        image,
        port,
        {"ENCODERS": "4", "CHEATERS": "2", "PREPARED_ENCODERS": "6"},
        ("cheaters",),
    )
    try:
        compose.run("up", "--detach", "--no-build")
        yield compose
    finally:
        compose.down()


def weights(network: Compose) -> dict[str, float]:
    """Weight of each encoder in the newest rounds, by key; 0 of one that was in none of them."""
    document = network.get("/v1/encoders") or {"encoders": []}
    return {one["public_key"]: one["weight"] or 0.0 for one in document["encoders"]}


def keys(network: Compose, service: str) -> list[str]:
    """Keys of the running nodes of a service."""

    def look() -> list[str] | None:
        found = [status_in(container) for container in network.containers(service)]
        return [one["public_key"] for one in found if one] if all(found) else None

    return wait_for(f"every {service} runs", look, ROUNDS_S)


def test_network__certifies_three_rounds_as_its_api_tells(network: Compose) -> None:
    found = wait_for(
        "three certified rounds",
        lambda: known if len(known := network.rounds("certified")) >= 3 else None,
        ROUNDS_S,
    )
    (shard,) = network.get(f"/v1/rounds/{found[0]}")["shards"]
    assert shard["state"] == "certified"
    with urllib.request.urlopen(network.api + "/", timeout=10) as page:
        assert page.headers["content-type"].startswith("text/html")
        assert b"<html" in page.read().lower()


def test_cheaters__have_no_weight_and_the_honest_share_it(network: Compose) -> None:
    cheaters, honest = keys(network, "cheater"), keys(network, "encoder")
    assert len(set(cheaters)) == 2
    assert len(set(honest)) == 4

    def look() -> dict[str, float] | None:
        found = weights(network)
        # An average over rounds, the first of which went by while encoders loaded their models.
        return found if all(found.get(key, 0) > 0 for key in honest) else None

    found = wait_for("the honest have the weight", look, ROUNDS_S)
    assert max(found[key] for key in cheaters) <= WEIGHT_OF_A_CHEATER_MAX
    assert sum(found[key] for key in cheaters) < sum(found[key] for key in honest) / 20


def test_containers__run_as_nobody_with_a_read_only_root_and_no_capabilities(network: Compose) -> None:
    running = [one for one in network.containers() if one["State"]["Running"]]
    assert len(running) == 4 + 4 + 2
    for container in running:
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert all(one["Type"] == "volume" for one in container["Mounts"])
        said = docker("exec", container["Id"], "sh", "-c", "id -u; touch /etc/x 2>&1; cat /proc/1/status")
        assert said.startswith("10001\n")
        assert "Read-only file system" in said
        assert "CapEff:\t0000000000000000" in said
    published = [
        (ports[0]["HostIp"], inner)
        for one in running
        for inner, ports in one["NetworkSettings"]["Ports"].items()
        if ports
    ]
    assert published == [("127.0.0.1", "7780/tcp")]


def test_node__killed_comes_back_and_certifies_with_the_others(network: Compose) -> None:
    (before,) = network.containers("validator-2")
    # The lock names the process; `docker kill` would count as a wish of the user's, and nothing restart.
    docker("exec", before["Id"], "sh", "-c", 'kill -9 "$(cat /data/localnet/lock)"')

    def back() -> int | None:
        (container,) = network.containers("validator-2")
        if container["RestartCount"] < 1:
            return None
        status = status_in(container)
        return None if status is None else int(status["round"])

    since = wait_for("the node runs again", back, ROUNDS_S)

    def certifies() -> bool | None:
        status = status_in(before)
        last = None if status is None else status["last_certified_round"]
        return True if last is not None and last > since else None

    assert wait_for("it knows a later round certified", certifies, ROUNDS_S)


@dataclass
class Suffered:
    """What was seen of one encoder whose timer fails it: its processes from outside, its log."""

    container: Mapping[str, Any]
    pids: list[int] = field(default_factory=list)
    """Of the encoder, in the order in which they came."""
    halted: set[int] = field(default_factory=set)
    """Those that were seen stopped by a signal, as a pause leaves them."""
    resumed: set[int] = field(default_factory=set)

    def look(self) -> None:
        """See how it is now."""
        for pid, (state, words) in processes_in(self.container).items():
            # The command lines of tini and of the timer hold these words too, behind their own.
            if not words.partition(" -m node.cli ")[2].startswith("testnet join"):
                continue
            if pid not in self.pids:
                self.pids.append(pid)
            if state.startswith("T"):
                self.halted.add(pid)
            elif pid in self.halted:
                self.resumed.add(pid)

    @property
    def told(self) -> list[str]:
        """What the timer said it does, in order."""
        pattern = re.compile(r"the node is (killed|paused|stopped) for [0-9.]+ s")
        return [found[1] for line in log_lines(self.container) if (found := pattern.fullmatch(line))]

    @property
    def has_had_them_all(self) -> bool:
        """Whether it was killed, paused and restarted, and each was seen to be so."""
        seen = len(self.pids) >= 3 and bool(self.resumed)
        return seen and sorted(self.told) == ["killed", "paused", "stopped"]


def test_chaos__fails_encoders_for_real_while_rounds_are_certified(network: Compose) -> None:
    before, began_s = max(network.rounds("certified"), default=-1), time.monotonic()
    network.profiles = (*network.profiles, "chaos")
    network.environment = {**network.environment, "CHAOS_ENCODERS": "2"} | CHAOS
    network.run("up", "--detach", "--no-build", "--no-deps", "chaos")
    suffering = [Suffered(container) for container in network.containers("chaos")]
    assert len(suffering) == 2

    def all_seen() -> bool | None:
        for one in suffering:
            one.look()
        return True if all(one.has_had_them_all for one in suffering) else None

    wait_for("both are killed, paused and restarted", all_seen, ROUNDS_S, every_s=0.7)

    def apart() -> bool | None:
        # The one that comes back may take the home that the other has just left.
        return True if len(set(keys(network, "chaos"))) == 2 else None

    wait_for("each is in a home of its own", apart, ROUNDS_S)

    def certified_since() -> list[int] | None:
        found = [round_ for round_ in network.rounds("certified") if round_ > before]
        return found if len(found) >= CERTIFIED_THROUGH_CHAOS else None

    certified = wait_for("rounds are certified meanwhile", certified_since, ROUNDS_S)

    def healthy() -> list[Any] | None:
        found = network.containers("chaos")
        return found if all(one["State"]["Health"]["Status"] == "healthy" for one in found) else None

    containers = wait_for("the engine calls both healthy", healthy, ROUNDS_S)
    void = [round_ for round_ in network.rounds("void") if round_ > before]
    print(f"\nchaos: {len(certified)} certified, {len(void)} void in {time.monotonic() - began_s:.0f} s")
    # The node came back inside: the engine had nothing to restart.
    assert [one["RestartCount"] for one in containers] == [0, 0]
    assert [lines for one in containers if (lines := log_errors(one))] == []
    network.run("stop", "chaos")
    assert [one["State"]["ExitCode"] for one in network.containers("chaos")] == [0, 0]
    network.run("rm", "--force", "chaos")
    network.profiles = tuple(name for name in network.profiles if name != "chaos")


def test_encoders__scaled_up_take_homes_of_their_own_and_the_network_stays_the_same(network: Compose) -> None:
    network_id = network.get("/v1/status")["network_id"]
    network.environment = {**network.environment, "ENCODERS": "6"}
    network.run("up", "--detach", "--no-build", "--no-recreate", "--scale", "encoder=6")
    found = keys(network, "encoder")
    assert len(set(found)) == 6
    wait_for("the new ones take part in rounds", lambda: _all_weigh(network, found), 2 * ROUNDS_S)
    assert network.get("/v1/status")["network_id"] == network_id
    (genesis,) = network.containers("genesis")
    assert genesis["State"]["ExitCode"] == 0


def test_logs__tell_of_no_error(network: Compose) -> None:
    found = {one["Name"]: lines for one in network.containers() if (lines := log_errors(one))}
    assert not found, found


def _all_weigh(network: Compose, members: list[str]) -> bool | None:
    found = weights(network)
    return True if all(found.get(key, 0) > 0 for key in members) else None


def test_validators__stop_by_themselves_within_the_grace_period(network: Compose) -> None:
    network.run("stop", *VALIDATORS)
    for name in VALIDATORS:
        (container,) = network.containers(name)
        # 137 would tell of a node that the engine had to kill.
        assert container["State"]["ExitCode"] == 0, name
