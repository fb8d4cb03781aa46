"""A full disk under a running validator: it stays up and says so, the others go on, and it comes back."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from node.testnet import plan as planning
from protocol.messages import Dispute
from tests.chaos.network import Network, Shape, running_network

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(300)]

VICTIM = "validator-1"
T = TypeVar("T")
DISK_BYTES = 96 << 20
LIMIT_BYTES = 200_000
WORDS_OF_A_FULL_DISK = ("No space left", "disk is full", "File too large", "check the disk")


@contextlib.contextmanager
def small_disk(plan: planning.NodePlan) -> Iterator[None]:
    """Put the node's home on a file system of its own; its logs stay outside, as on a volume for logs."""
    home, outside = plan.home, plan.home.with_name(f"{plan.home.name}-outside")
    home.rename(outside)
    home.mkdir(mode=0o700)
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "none", str(home)], capture_output=True
    )
    if told.returncode:
        pytest.skip(f"no file system can be mounted here: {told.stderr.decode().strip()}")
    try:
        shutil.copytree(outside, home, dirs_exist_ok=True)
        logs = plan.directory / "logs"
        shutil.rmtree(logs)
        logs.symlink_to(outside / plan.directory.name / "logs")
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def fill(plan: planning.NodePlan) -> Path:
    """Use up every byte of the node's disk."""
    filler = plan.home / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def test_full_disk__validator_stays_up_and_takes_part_again_when_there_is_space(tmp_path: Path) -> None:
    with contextlib.ExitStack() as disks:

        def prepare(plan: planning.TestnetPlan) -> None:
            disks.enter_context(small_disk(plan.validators[0]))

        with running_network(tmp_path, Shape(), prepare=prepare) as network:
            plan = network.node(VICTIM)
            _full_and_free_again(network, lambda: fill(plan), lambda filler: filler.unlink())


@pytest.mark.slow
def test_no_file_may_grow__validator_stays_up_and_takes_part_again_when_they_may(tmp_path: Path) -> None:
    with running_network(tmp_path, Shape()) as network:
        pid = network.fleet.pid(VICTIM)
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        def limit() -> None:
            # The larger blobs and the store exceed it, the logs do not.
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, unlimited[1]))

        _full_and_free_again(
            network, limit, lambda _: resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        )


def _full_and_free_again(network: Network, take: Callable[[], T], give_back: Callable[[T], object]) -> None:
    pid = network.fleet.pid(VICTIM)
    network.until(lambda: _attested(network, 0), 90, f"{VICTIM} attests")
    taken = take()
    full_from = network.round_now() + 1
    network.until_certified("validator-2", 3, full_from)
    assert network.fleet.pid(VICTIM) == pid
    assert network.fleet.fallen() == {}
    assert _complained(network), f"{VICTIM} says nothing of its disk"

    give_back(taken)
    free_from = network.round_now() + 1
    network.until(lambda: _attested(network, free_from), 60, f"{VICTIM} attests rounds from {free_from} on")
    missed = set(network.certified("validator-2"))
    network.until(lambda: missed <= set(network.certified(VICTIM)), 60, f"{VICTIM} holds rounds {missed}")
    assert network.fleet.fallen() == {}
    # Its own trouble is no opinion on the reports of others.
    assert [s for s in network.listener.statements() if isinstance(s.body, Dispute)] == []
    network.assert_nobody_said_two_things()


def _attested(network: Network, from_round: int) -> bool:
    return any(VICTIM in network.attesters(round_) for round_ in network.certified("validator-2", from_round))


def _complained(network: Network) -> bool:
    return any(
        words in str(entry.get("reason", ""))
        for entry in network.events(VICTIM)
        for words in WORDS_OF_A_FULL_DISK
        if entry["level"] in ("warning", "error")
    )
