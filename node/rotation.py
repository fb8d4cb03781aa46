"""A node's key is its identity: a new key is a new node, which takes over. What has been done, what is next.

Everything is read off the two data directories, so that it can be gone on with after any interruption. An
encoder's successor registers, then the old one leaves; a validator's is given all the stake that the rules
let go of, in as many transfers as that takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from config.datadir import DataDir
from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file
from node.clock import now_ms
from node.roles.registering import LEFT, RUNNING, is_leaving
from node.stake_wish import StakeWish
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, liveness, read_status
from protocol.codec import CodecError, PublicKey, Record, decode, encode
from protocol.epochs.stakes import place_stake, transit_stake_max
from protocol.epochs.view import Epoch

FILE_NAME: Final = "rotation"
_FILE_BYTES_MAX: Final = 8 << 10


class RotationError(ConfigError):
    """A key cannot be rotated, or the file that says where to is damaged."""


class Successor(Record, frozen=True):
    """Where the node with the new key is."""

    home: str
    network: str
    public_key: PublicKey
    left: bool = False
    """The old encoder was seen to have left: it can be told no more once it has stopped."""


class Mark(StrEnum):
    """How far a step is."""

    DONE = "done"
    NOW = "now"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rotation, in words; `do` is the command that makes it, where somebody has to."""

    name: str
    mark: Mark
    detail: str
    do: str = ""


def read_successor(directory: DataDir) -> Successor | None:
    """Where this node's key is being rotated to; None where it is not. Raises RotationError."""
    path = directory.root / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RotationError(os_error_sentence("read", path, error)) from None
    try:
        return decode(data, Successor, size_bytes_max=_FILE_BYTES_MAX)
    except CodecError as error:
        raise RotationError(
            f"{path} is damaged ({error}): remove it, and give `deltamesh keys rotate --to-home DIR` again "
            "with the same folder"
        ) from None


def write_successor(directory: DataDir, successor: Successor) -> None:
    """Remember where the key is being rotated to. Raises RotationError."""
    path = directory.root / FILE_NAME
    try:
        replace_file(path, encode(successor), mode=PRIVATE)
    except OSError as error:
        raise RotationError(os_error_sentence("write", path, error)) from None


def running_status(directory: DataDir) -> NodeStatus | None:
    """What the node says of itself; None where it does not run. Raises StatusError."""
    status = read_status(directory.root / STATUS_FILE_NAME)
    if status is None or liveness(status, now_ms()) is not Liveness.RUNNING:
        return None
    return status


def has_stopped(directory: DataDir) -> bool:
    """Whether no process of the node is there: one that hangs has still to be stopped. Raises StatusError."""
    status = read_status(directory.root / STATUS_FILE_NAME)
    return status is None or liveness(status, now_ms()) is Liveness.STOPPED


def has_left(directory: DataDir) -> bool:
    """Whether a running encoder says that it is a member no more. Raises StatusError."""
    status = running_status(directory)
    return status is not None and status.phase == LEFT


def encoder_steps(old: DataDir, new: DataDir, left: bool) -> list[Step]:
    """The way of an encoder, from what both nodes say. Raises StatusError."""
    before, after = running_status(old), running_status(new)
    registered = after is not None and after.phase == RUNNING
    told = is_leaving(old)
    gone = left and has_stopped(old)
    leaving = "the old one leaves with one of the next two epochs: keep it running"
    return _ordered(
        [
            ("prepared", True, f"the new key is in {new.key}", ""),
            ("new node runs", after is not None or left, "start it beside the old one", _run("encoder", new)),
            ("registered", registered or told, "it registers by itself, with one of the next two epochs", ""),
            ("told to leave", told, "the old one is told to leave its network", _again(old)),
            ("left", left, leaving, "" if before else _run("encoder", old)),
            ("old node stopped", gone, "stop the old node: Ctrl-C, or SIGTERM", ""),
        ]
    )


def validator_steps(old: DataDir, new: DataDir, keys: tuple[bytes, bytes], stake: Stake) -> list[Step]:
    """The way of a validator with these keys, old and new, from their stake. Raises StatusError."""
    runs = running_status(new) is not None
    moved = f"{stake.mine} of {stake.mine + stake.on_its_way + stake.arrived} are left"
    handed = stake.movable == 0
    arrived = handed and stake.on_its_way == 0 and stake.arrived > 0 and not stake.wished
    stopped = has_stopped(old)
    return _ordered(
        [
            ("prepared", True, f"the new key {keys[1].hex()[:8]} is in {new.key}", ""),
            ("new node runs", runs or arrived, "start it beside the old one", _run("validator", new)),
            (
                "stake handed on",
                handed and not stake.wished,
                f"{moved}; the old node hands it on",
                _again(old),
            ),
            (
                "stake arrived",
                arrived,
                f"{stake.arrived} with the new key, {stake.on_its_way} on its way",
                "",
            ),
            ("old node stopped", arrived and stopped, "stop the old node: Ctrl-C, or SIGTERM", ""),
        ]
    )


@dataclass(frozen=True, slots=True)
class Stake:
    """Where a rotating validator's stake is."""

    mine: int
    movable: int
    """Of it, what a transfer may still take."""
    on_its_way: int
    arrived: int
    wished: bool
    """A transfer is to be made, or made and not yet taken up."""


def stake_of(newest: Epoch, old: bytes, new: bytes, wish: StakeWish | None) -> Stake:
    """Where the stake is, by the newest record known here."""
    held = newest.states.get(old)
    mine = 0 if held is None else held.stake
    there = newest.states.get(new)
    on_its_way = sum(one.amount for one in newest.record.transfers if (one.giver, one.to) == (old, new))
    return Stake(
        mine=mine,
        movable=max(0, mine - place_stake(newest)),
        on_its_way=on_its_way,
        arrived=0 if there is None else there.stake,
        wished=wish is not None,
    )


def next_amount(newest: Epoch, stake: Stake) -> int:
    """How much the next transfer moves: all there is, or as much as may be on its way at a time."""
    return min(stake.movable, transit_stake_max(newest))


def _ordered(steps: list[tuple[str, bool, str, str]]) -> list[Step]:
    """The first that is not done is the one for now."""
    found, open_ = [], True
    for name, done, detail, do in steps:
        mark = Mark.DONE if done and open_ else Mark.NOW if open_ else Mark.LATER
        open_ = open_ and done
        found.append(Step(name, mark, detail, "" if mark is Mark.DONE else do))
    return found


def _place(directory: DataDir) -> str:
    return f"--home {directory.root.parent} --network {directory.root.name}"


def _run(role: str, directory: DataDir) -> str:
    return f"deltamesh run {role} {_place(directory)}"


def _again(directory: DataDir) -> str:
    return f"deltamesh keys rotate {_place(directory)}"
