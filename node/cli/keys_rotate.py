"""`deltamesh keys rotate`: a node with a new key takes over from this one, step by step."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    AnnounceOption,
    DataOption,
    HomeOption,
    JsonOption,
    ListenOption,
    NetworkOption,
    existing_directory,
    genesis_of,
    settings_of,
)
from node.cli.output import note, print_json, say, short_key

if TYPE_CHECKING:
    from config.datadir import DataDir
    from config.settings import Settings
    from node.rotation import Step, Successor
    from protocol.genesis import Genesis

LOOK_EVERY_S = 5.0
LEFT_OUT = frozenset({"listen", "announce", "api", "metrics", "data"})
"""Settings the new node does not take over: while both run, each has its own."""


def rotate(
    to_home: Annotated[
        Path | None,
        typer.Option(
            "--to-home", metavar="DIR", help="Where the node with the new key is to be.", show_default=False
        ),
    ] = None,
    data: DataOption = None,
    announce: AnnounceOption = None,
    listen: ListenOption = None,
    status: Annotated[
        bool, typer.Option("--status", help="Say how far it is; change nothing.", show_default=False)
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on until only the old node is left to stop.", show_default=False),
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Replace this node's key. A key is an identity, so a new node with a new key takes over from the old.

    The first time --to-home makes its data directory; a validator's gets a pool of its own from --data. Then
    start it beside the old one, and give the command again after each step, or once with --follow. An
    encoder's successor registers and the old one leaves; a validator hands its stake on. What is done stays
    done, whatever is interrupted. Both nodes run until the last step, which is to stop the old one.
    """
    from node.rotation import read_successor

    if status and (follow or to_home is not None):
        raise CommandError("--status changes nothing: leave --follow and --to-home out", ExitCode.USAGE)
    settings = settings_of(home, network, announce=announce, listen=listen, data=data)
    directory = existing_directory(settings)
    genesis = genesis_of(directory)
    successor = read_successor(directory)
    if successor is None:
        if to_home is None:
            raise CommandError(
                f"no rotation of the key in {directory.root} is under way: begin with --to-home DIR",
                ExitCode.NODE_STATE if status else ExitCode.USAGE,
            )
        successor = _prepare(directory, genesis, settings, to_home, given=(listen, announce, data))
    elif to_home is not None and Path(successor.home) != to_home.expanduser().absolute():
        raise CommandError(
            f"the key is being rotated to {successor.home} already: leave --to-home out", ExitCode.NODE_STATE
        )
    steps = _look(directory, genesis, successor, act=not status)
    told: Step | None = None
    while follow and steps[-1].mark == "later":
        now = next(step for step in steps if step.mark == "now")
        if not json_ and now != told:
            _print_step(now)
            told = now
        time.sleep(LOOK_EVERY_S)
        steps = _look(directory, genesis, read_successor(directory) or successor, act=True)
    _print(steps, json_)


def _prepare(
    directory: DataDir,
    genesis: Genesis,
    settings: Settings,
    to_home: Path,
    given: tuple[list[str] | None, list[str] | None, Path | None],
) -> Successor:
    from config.datadir import DataDir
    from config.files import PUBLIC
    from config.genesis import genesis_to_text
    from node.cli.config_file import add_settings
    from node.keys import load_key
    from node.membership import ensure_key, is_prepared_validator
    from node.private_file import write_once
    from node.rotation import Successor, write_successor

    old_key = load_key(directory.key)
    listen, announce, data = given
    new = DataDir.open(to_home, directory.root.name)
    with new.lock():
        if new.genesis.exists():
            if genesis_of(new).network_id != genesis.network_id:
                raise CommandError(
                    f"{new.root} belongs to another network: take another folder", ExitCode.NODE_STATE
                )
        else:
            write_once(new.genesis, genesis_to_text(genesis).encode(), "a genesis")
            new.genesis.chmod(PUBLIC)
        key = ensure_key(new)
        if key.public_key == old_key.public_key:
            raise CommandError(f"{new.root} holds the same key: take another folder", ExitCode.BAD_INPUT)
        if is_prepared_validator(directory):
            _prepare_validator(directory, new, genesis, settings, data)
        if not new.config.exists():
            _take_over_settings(directory, new)
        wanted: dict[str, list[str] | str] = {}
        wanted |= {"listen": listen} if listen else {}
        wanted |= {"announce": announce} if announce else {}
        wanted |= {"data": str(data.expanduser().absolute())} if data is not None else {}
        add_settings(new.config, wanted)
    note(f"The new key {key.fingerprint} is in {new.key}; back it up with `deltamesh keys backup`.")
    successor = Successor(str(to_home.expanduser().absolute()), new.root.name, key.public_key)
    write_successor(directory, successor)
    return successor


def _prepare_validator(
    directory: DataDir, new: DataDir, genesis: Genesis, settings: Settings, data: Path | None
) -> None:
    from node.cli.init import challenge_items
    from node.cli.text_file import replace_text
    from node.joining import joining_card
    from node.keys import load_key
    from node.member_card import card_to_text
    from node.membership import pool_path, prepare_validator
    from node.pool import Pool

    if data is None and not pool_path(new).exists():
        raise CommandError(
            "a validator's new key needs challenge items that nobody has seen: name them with --data PATH",
            ExitCode.USAGE,
        )
    if new.card.exists():
        return
    old_pool = Pool.load(pool_path(directory))
    seen = set(old_pool.items)

    def fresh() -> list[bytes]:
        items = challenge_items(data, genesis.modality)
        # Those of the old pool were dealt, or may be before it is stopped: encoders know them.
        kept = [item for item in items if item not in seen]
        if len(kept) < len(items):
            note(f"{len(items) - len(kept)} items are the old pool's and left out.")
        if not kept:
            raise CommandError(
                "all these items are the old pool's, which encoders have seen or will: name other --data",
                ExitCode.BAD_INPUT,
            )
        return kept

    member = prepare_validator(
        new,
        fresh,
        stake=1,
        addresses=settings.announce if settings.origin("announce").startswith("flag") else (),
        chain_length=genesis.parameters.chain_length,
        modality=genesis.modality,
    )
    replace_text(new.card, card_to_text(joining_card(load_key(new.key), genesis, member)))


def _take_over_settings(directory: DataDir, new: DataDir) -> None:
    """The settings of the old node, but those two nodes cannot share."""
    from config.config_file import toml
    from node.cli.text_file import replace_text

    if not directory.config.exists():
        return
    values = tomllib.loads(directory.config.read_text(encoding="utf-8"))
    lines = [f"{key} = {toml(value)}\n" for key, value in values.items() if key not in LEFT_OUT]
    if lines:
        replace_text(new.config, "".join(lines))


def _look(directory: DataDir, genesis: Genesis, successor: Successor, *, act: bool) -> list[Step]:
    from config.datadir import DataDir
    from node.keys import load_key
    from node.membership import is_prepared_validator
    from node.rotation import FILE_NAME, Successor, encoder_steps, has_left, write_successor

    new = DataDir.existing(Path(successor.home), successor.network)
    there = load_key(new.key).public_key
    if there != successor.public_key:
        raise CommandError(
            f"{new.root} holds the key {short_key(there)}, and the rotation goes to "
            f"{short_key(successor.public_key)}: put that back with `deltamesh keys restore`, or remove "
            f"{directory.root / FILE_NAME} and begin anew with --to-home",
            ExitCode.NODE_STATE,
        )
    if is_prepared_validator(directory):
        return _look_at_validator(directory, new, genesis, successor, act=act)
    from node.roles.registering import set_leaving

    left = successor.left or has_left(directory)
    steps = encoder_steps(directory, new, left)
    if act and left and not successor.left:
        write_successor(directory, Successor(successor.home, successor.network, successor.public_key, True))
    if act and _is_now(steps, "told to leave"):
        set_leaving(directory, wished=True)
        steps = encoder_steps(directory, new, left)
    return steps


def _look_at_validator(
    directory: DataDir, new: DataDir, genesis: Genesis, successor: Successor, *, act: bool
) -> list[Step]:
    from node.cli.stake import newest_epoch, refusal
    from node.joining import signed_card
    from node.keys import load_key
    from node.member_card import load_card
    from node.rotation import next_amount, stake_of, validator_steps
    from node.stake_wish import StakeWish, read_wish, write_wish

    me, to = load_key(directory.key).public_key, successor.public_key
    wish = read_wish(directory, genesis.network_id)
    if wish is not None and wish.to != to:
        raise CommandError(
            f"a transfer of {wish.amount} to {short_key(wish.to)} is under way: wait until the log says "
            "stake.moved, or take it back with `deltamesh stake transfer --undo`",
            ExitCode.NODE_STATE,
        )
    newest = max((newest_epoch(one, genesis) for one in (directory, new)), key=lambda epoch: epoch.number)
    stake = stake_of(newest, me, to, wish)
    if stake.mine == 0 and stake.arrived == 0 and stake.on_its_way == 0:
        raise CommandError(
            f"the key {short_key(me)} has no stake to hand on: a validator without stake needs no rotation, "
            "start anew with `deltamesh init`",
            ExitCode.NODE_STATE,
        )
    steps = validator_steps(directory, new, (me, to), stake)
    if not act or not _is_now(steps, "stake handed on") or wish is not None:
        return steps
    amount = next_amount(newest, stake)
    cards = () if to in newest.states else (signed_card(load_card(new.card), genesis),)
    reason = refusal(newest, me, to, amount, cards)
    if reason is not None:
        raise CommandError(f"the network would not take it up: {reason}", ExitCode.BAD_INPUT)
    wish = StakeWish(genesis.network_id, to, amount, cards, ())
    write_wish(directory, wish)
    note(f"The old node hands {amount} of its stake to {short_key(to)} as soon as it can.")
    return validator_steps(directory, new, (me, to), stake_of(newest, me, to, wish))


def _is_now(steps: list[Step], name: str) -> bool:
    return any(step.name == name and step.mark == "now" for step in steps)


def _print(steps: list[Step], json_: bool) -> None:
    if json_:
        print_json(
            {
                "steps": [
                    {"name": one.name, "mark": one.mark, "detail": one.detail, "do": one.do} for one in steps
                ]
            }
        )
        return
    for step in steps:
        _print_step(step)


def _print_step(step: Step) -> None:
    say(f"{step.mark:<6} {step.name:<17} {step.detail if step.mark != 'done' else ''}".rstrip())
    if step.mark == "now" and step.do:
        note(f"  {step.do}")
