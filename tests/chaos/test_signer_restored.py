"""Signing records put back from an older copy while a node is down: it waits and says why."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from enum import Enum
from functools import partial
from pathlib import Path

import pytest

from node.testnet.plan import NodePlan
from protocol.evidence import vote_slot
from tests.chaos.network import Network, Shape, running_network

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(400)]

VOTES_FILE, MARK_FILE = "signer.sqlite", "signer.sqlite.watermark"


class PutBack(Enum):
    """Which of the signer's two records an operator restores from an older copy."""

    DATABASE = (VOTES_FILE,)
    """Votes are missing that the watermark has seen: new votes only once their rounds are surely over."""
    WATERMARK = (MARK_FILE,)
    """The database knows more: nothing is lost."""
    BOTH = (VOTES_FILE, MARK_FILE)
    """Nothing on the disk shows it: only that no process votes in a round that had begun before it."""


RESTORED = {
    "validator-4": PutBack.DATABASE,
    "validator-5": PutBack.BOTH,
    "encoder-4": PutBack.WATERMARK,
    "encoder-5": PutBack.DATABASE,
}
# The three others hold 300 of 446: a quorum by themselves.
SHAPE = Shape(stakes=(100, 100, 100, 73, 73), encoders=5)


def test_signer_put_back_from_an_older_copy__waits_in_clear_words_and_says_nothing_twice(
    tmp_path: Path,
) -> None:
    with running_network(tmp_path, SHAPE) as network:
        plans = {name: network.node(name) for name in RESTORED}
        for plan in plans.values():
            network.until(partial(_votes, plan), 90, f"{plan.name} has voted")
        copied = _while_down(network, lambda plan: _copy(plan.directory, tmp_path / plan.name, PutBack.BOTH))
        for name, plan in plans.items():
            network.until(partial(_has_voted_since, plan, copied[name]), 90, f"{name} has voted again")

        _while_down(network, lambda plan: _copy(tmp_path / plan.name, plan.directory, RESTORED[plan.name]))
        restarted = network.round_now()
        for name, plan in plans.items():
            network.until(
                partial(_said_after, network, plan, restarted),
                120,
                f"{name} takes part after round {restarted}",
            )

        assert network.fleet.fallen() == {}
        for name, kind in RESTORED.items():
            told = [
                entry["reason"]
                for event in ("signer.waiting", "signer.rolled_back")
                for entry in network.events(name, event)
            ]
            print(f"\n{name} ({kind.name}): {told}")
            said_so = any("put back from an older copy" in reason for reason in told)
            assert said_so == (kind is PutBack.DATABASE)
        network.assert_nobody_said_two_things()


def _while_down(network: Network, act: Callable[[NodePlan], None]) -> dict[str, int]:
    """Do something to the files of each node while none of them runs; how often each had voted by then."""
    for name in RESTORED:
        network.fleet.kill(name)
    votes = {name: _votes(network.node(name)) for name in RESTORED}
    for name in RESTORED:
        act(network.node(name))
        network.fleet.start(name)
    return votes


def _copy(source: Path, target: Path, what: PutBack) -> None:
    target.mkdir(exist_ok=True)
    # What a crash left of a transaction belongs to the database that was there.
    (target / f"{VOTES_FILE}-journal").unlink(missing_ok=True)
    for name in what.value:
        shutil.copy2(source / name, target / name)


def _votes(plan: NodePlan) -> int:
    """How many votes a signer's database holds in all."""
    try:
        with closing(sqlite3.connect(f"file:{plan.directory / VOTES_FILE}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT votes FROM mark").fetchone()[0])
    except (sqlite3.Error, TypeError):  # not there yet, or locked at this moment
        return 0


def _has_voted_since(plan: NodePlan, votes: int) -> bool:
    return _votes(plan) > votes


def _said_after(network: Network, plan: NodePlan, round_: int) -> bool:
    """Whether anybody heard a vote of this key in a later round."""
    return any(
        statement.signer == plan.public_key and slot[1].round > round_
        for statement in network.listener.statements()
        if (slot := vote_slot(statement)) is not None
    )
