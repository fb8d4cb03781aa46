"""Keys rotated in a network of real processes, by the commands of docs/keys.md, from first to last step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.epochs.history import ReadEpochs
from node.keys import load_key
from node.testnet.fleet import Fleet, command_line
from node.testnet.plan import NETWORK, NodePlan, free_ports
from protocol.codec import decode
from protocol.epochs.stakes import place_stake, transit_stake_max
from protocol.epochs.view import Epoch
from protocol.messages import Certificate
from tests.chaos.network import CERTIFICATE_BYTES_MAX, ENCODER_STAKE, Network, Shape, running_network
from tests.chaos.text import write_longer_text, write_other_text
from tests.support.cli import ROOT, Ended, process

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

MINE, OTHERS = 60, 100
"""Stake of the validator whose key is rotated, more than may be on its way at a time, and of the others."""
EPOCH_ROUNDS = 6
SHAPE = Shape(
    stakes=(MINE, OTHERS, OTHERS, OTHERS),
    slot_ms=3_000,
    changes={"epoch_rounds": EPOCH_ROUNDS, "probation_shards": 1, "registration_stake": ENCODER_STAKE},
)
WITNESS = "validator-2"
ROTATED_WITHIN_S = 360.0
CERTIFIED_AFTER = 4
"""Rounds without the old nodes."""
CERTIFIED_SHARE_MIN = 0.5
"""Of the rounds meanwhile; a machine that has ten times as much to do as it can makes a quarter void."""


class Rotation:
    """One key that goes: the old node, the new one, and the command that follows."""

    def __init__(self, old: NodePlan, home: Path, *options: object) -> None:
        self.old = old
        self.begun = self.command("--to-home", home, *options)
        assert self.begun.code == 0, self.begun.err
        key = load_key(home / NETWORK / "key").public_key
        # It listens where its settings say; what it embeds with a flag told the old one too.
        api = None if old.api is None else "127.0.0.1:0"
        self.new = replace(old, name=home.name, home=home, public_key=key, listen=None, api=api)

    def command(self, *options: object) -> Ended:
        """`keys rotate` of the old node's key."""
        return process("keys", "rotate", *options, "--home", self.old.home, "--network", NETWORK)

    def follow(self, log: Path) -> subprocess.Popen[bytes]:
        """`keys rotate --follow`, which makes every step that is due."""
        words = ["keys", "rotate", "--follow", "--home", str(self.old.home), "--network", NETWORK]
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "node.cli", *words], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )

    def marks(self) -> dict[str, str]:
        """How far each step is, as `--status` says."""
        ended = self.command("--status", "--json")
        assert ended.code == 0, ended.err
        return {step["name"]: step["mark"] for step in ended.json["steps"]}


def epochs_of(network: Network) -> list[Epoch]:
    """All epochs the witness knows."""
    with network.store(WITNESS) as store:
        assert store is not None
        epochs = ReadEpochs(network.plan.genesis, store)
        found = [epochs.find(number) for number in range(store.newest_epoch() + 1)]
    return [epoch for epoch in found if epoch is not None]


def voters(network: Network, from_round: int) -> dict[int, set[bytes]]:
    """Whose attestations the certificates of the rounds hold that the witness knows."""
    found = {}
    for number, record in network.certified(WITNESS, from_round).items():
        votes = decode(record.certificate or b"", Certificate, size_bytes_max=CERTIFICATE_BYTES_MAX)
        found[number] = {vote.validator for vote in votes.attestations}
    return found


def scored(network: Network, key: bytes, from_round: int) -> list[Any]:
    """An encoder's scores in the certified rounds from one on."""
    with network.store(WITNESS) as store:
        assert store is not None
        return [one for one in store.scores(encoder=key) if one.round >= from_round]


def stop(network: Network, plan: NodePlan) -> None:
    """Stop an old node as its operator does: it ends well."""
    os.kill(network.fleet.pid(plan.name), signal.SIGTERM)
    network.until(lambda: plan.name in network.fleet.fallen(), 30.0, f"{plan.name} stops")
    assert network.fleet.fallen()[plan.name] == 0


def follow_all(
    network: Network, rotations: Sequence[Rotation], successors: Fleet, folder: Path
) -> list[float]:
    """Every rotation goes on until only the old node is left to stop; how long each took."""
    began_s, took_s = time.monotonic(), dict[int, float]()
    logs = [folder / f"{rotation.old.name}.log" for rotation in rotations]
    following = [rotation.follow(log) for rotation, log in zip(rotations, logs, strict=True)]

    def done() -> bool:
        for number, one in enumerate(following):
            if one.poll() is not None:
                took_s.setdefault(number, time.monotonic() - began_s)
        return bool(successors.fallen()) or len(took_s) == len(following)

    try:
        network.until(done, ROTATED_WITHIN_S, "only the old nodes are left to stop")
    finally:
        for one in following:
            one.kill()
            one.wait()
    told = [log.read_text() for log in logs]
    assert not successors.fallen(), successors.last_words(next(iter(successors.fallen())))
    assert [one.returncode for one in following] == [0] * len(rotations), told
    assert all("now    old node stopped" in one for one in told), told
    return [took_s[number] for number in range(len(rotations))]


def assert_stake_moved(epochs: Sequence[Epoch], old: bytes, new: bytes) -> None:
    """All but the least went to the new key, an eighth at a time, and none was made or lost."""
    total = MINE + 3 * OTHERS
    last = epochs[-1]
    least = place_stake(last)
    assert (last.states[old].stake, last.states[new].stake) == (least, MINE - least)
    moved = [held.amount for epoch in epochs for held in epoch.record.transfers if held.giver == old]
    assert sum(moved) == MINE - least
    assert len(moved) >= 2, "more than may be on its way at a time"
    for epoch in epochs:
        on_its_way = sum(held.amount for held in epoch.record.transfers)
        assert epoch.total_stake + on_its_way == total
        assert on_its_way <= transit_stake_max(epochs[0])


def assert_encoder_taken_over(epochs: Sequence[Epoch], old: bytes, new: bytes) -> None:
    """The new one began with a registration's stake and no reputation; the old one is a member no more."""
    begins = next(epoch for epoch in epochs if new in epoch.encoders)
    (state,) = (one for one in begins.table.encoders if one.public_key == new)
    assert (state.stake, state.reputation_ppm) == (ENCODER_STAKE, 0)
    assert old in begins.encoders, "both are members for a while"
    assert old not in epochs[-1].encoders
    assert new in epochs[-1].encoders


def test_keys_of_a_validator_and_an_encoder__are_rotated_while_rounds_are_certified(short_path: Path) -> None:
    with running_network(short_path, SHAPE, write_text=write_longer_text) as network:
        first = network.until_certified(WITNESS, 2, 0)[0]
        address = f"/ip4/127.0.0.1/tcp/{free_ports(1)[0]}"
        text = write_other_text(short_path / "other.txt")
        options = ("--data", text, "--listen", address, "--announce", address)
        validator = Rotation(network.node("validator-1"), short_path / "next-validator", *options)
        encoder = Rotation(network.node("encoder-1"), short_path / "next-encoder")
        assert validator.marks()["new node runs"] == encoder.marks()["new node runs"] == "now"
        with Fleet([validator.new, encoder.new], command_line) as successors:
            successors.start_all()
            took_s = follow_all(network, (validator, encoder), successors, short_path)
            for rotation in (validator, encoder):
                stop(network, rotation.old)
                assert set(rotation.marks().values()) == {"done"}

            # A round that had begun may still hold their answers.
            after = network.round_now() + 1
            network.until(lambda: len(voters(network, after)) >= CERTIFIED_AFTER, 120.0, "rounds go on")
            network.until(
                lambda: any(one.weight > 0 for one in scored(network, encoder.new.public_key, after)),
                120.0,
                "the new encoder has weight",
            )
            votes, epochs = voters(network, after), epochs_of(network)
            assert sum(validator.new.public_key in keys for keys in votes.values()) >= len(votes) / 2
            assert not any(validator.old.public_key in keys for keys in votes.values())
            assert scored(network, encoder.old.public_key, after) == []
            assert_stake_moved(epochs, validator.old.public_key, validator.new.public_key)
            assert_encoder_taken_over(epochs, encoder.old.public_key, encoder.new.public_key)

            certified = sorted(network.certified(WITNESS, first))
            span = certified[-1] - first + 1
            print(
                f"\nvalidator rotated in {took_s[0]:.0f} s, encoder in {took_s[1]:.0f} s; "
                f"{len(certified)} of {span} rounds certified; {len(votes)} of them without the old nodes"
            )
            assert len(certified) >= CERTIFIED_SHARE_MIN * span, certified
            whole = range(first // EPOCH_ROUNDS, certified[-1] // EPOCH_ROUNDS)
            assert set(whole) <= {round_ // EPOCH_ROUNDS for round_ in certified}, "in every epoch"
            network.assert_nobody_said_two_things()
