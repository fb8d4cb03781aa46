"""What the running node says of itself: does it take part?"""

from __future__ import annotations

from typing import Final

from node.clock import now_ms
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, read_status
from node.version import software_version
from protocol.genesis import Genesis
from protocol.quorum import has_quorum

BEHIND_ROUNDS: Final = 4
"""Slots since the last certified round that are no coincidence."""


def check(subject: Subject) -> list[Finding]:
    """What the node last said."""
    path = subject.directory.root / STATUS_FILE_NAME
    read_status(path)  # raises StatusError for one that is damaged, with what to do
    status, alive = subject.status()
    return judge(status, alive, subject.genesis(), subject.role, now_ms())


def judge(
    status: NodeStatus | None, alive: Liveness, genesis: Genesis | None, role: Role, at_ms: int
) -> list[Finding]:
    """Whether the node runs, meets a quorum, is reached by others, and sees rounds certified."""
    name = "running"
    if alive is Liveness.STOPPED or status is None:
        if role is Role.NOT_SET_UP:
            return [ok(name, "there is no node to run yet")]
        return [note(name, "the node is not running", "", f"`deltamesh run {role.value}`")]
    if alive is Liveness.SILENT:
        return [
            error(
                name,
                f"process {status.pid} has said nothing for {(at_ms - status.updated_ms) / 1_000:,.0f} s",
                "it writes its status every second: it hangs, or the machine is out of breath",
                "look into its logs, then restart it",
            )
        ]
    found = [*_version(status), *_standing(status)]
    if genesis is not None:
        found += [*_connected(status, genesis), *_certified(status, genesis, at_ms)]
    shown = f"process {status.pid}, {len(status.peers)} peers, round {status.round}, {status.phase}"
    return [*found, ok(name, shown)]


def _version(status: NodeStatus) -> list[Finding]:
    installed = software_version()
    if status.version == installed:
        return []
    seen = f"the node runs version {status.version}, installed is {installed}"
    return [note("running", seen, "it was updated while it ran", "restart the node when it suits")]


def _standing(status: NodeStatus) -> list[Finding]:
    match status.phase:
        case "convicted":
            why = "evidence against this key was certified: its stake is gone, and there is no way back"
            remedy = "stop it and begin with a new key, in another --home"
            return [error("running", "this validator is convicted", why, remedy)]
        case "waiting for stake" | "stake is on its way":
            why = "it has no part in rounds before"
            return [
                note("running", status.phase, why, "`deltamesh stake transfer` by a validator that has some")
            ]
    return []


def _connected(status: NodeStatus, genesis: Genesis) -> list[Finding]:
    name = "running"
    reached = {bytes.fromhex(peer.public_key) for peer in status.peers if peer.role == "validator"}
    known = set(genesis.validators)
    if status.role == "encoder":
        if reached:
            return []
        why = "it is dealt nothing without one"
        return [error(name, "the encoder is connected to no validator", why, "see `peers` and `clock` here")]
    known.discard(bytes.fromhex(status.public_key))
    stake = sum(genesis.validators[key].stake for key in reached & known)
    own = genesis.validators.get(bytes.fromhex(status.public_key))
    found = []
    if known and not has_quorum(stake + (own.stake if own else 0), genesis.total_stake):
        found.append(
            warning(
                name,
                f"connected to {len(reached & known)} of {len(known)} other validators of genesis",
                "they and this one have less than two thirds of its stake: no round is certified among them",
                "see `peers` here: who cannot be dialled has to come back, or dial this node",
            )
        )
    return found


def _certified(status: NodeStatus, genesis: Genesis, at_ms: int) -> list[Finding]:
    name = "running"
    slots = max(0, at_ms - status.started_ms) // genesis.parameters.slot_ms
    if status.role != "validator" or status.round < BEHIND_ROUNDS or slots < BEHIND_ROUNDS:
        return []  # it has not been there for long enough to tell
    last = status.last_certified_round
    behind = status.round - (-1 if last is None else last)
    if behind < BEHIND_ROUNDS:
        return []
    seen = (
        "no round was ever certified" if last is None else f"the last certified round is {last}, {behind} ago"
    )
    why = "rounds are void, or this node does not hear of them"
    remedy = "`deltamesh rounds` tells what became of each; see `peers` and `clock` here"
    return [warning(name, f"{seen}; the round now is {status.round}", why, remedy)]
