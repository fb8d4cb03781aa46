"""`deltamesh stake`: a validator hands stake to another, or to a stranger that becomes one by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    NetworkOption,
    existing_directory,
    genesis_of,
    reading_store,
    settings_of,
)
from node.cli.output import note, say, short_key

if TYPE_CHECKING:
    from config.datadir import DataDir
    from protocol.cards import SignedCard
    from protocol.epochs.view import Epoch
    from protocol.genesis import Genesis

app = typer.Typer(help="Hand stake to other validators, and to newcomers.", no_args_is_help=True)


@app.callback()
def _stake() -> None:
    """A group, though it has one command so far."""


@app.command("transfer")
def transfer(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="CARD|KEY", help="A newcomer's card, or the key of a validator."),
    ] = None,
    amount: Annotated[
        int | None, typer.Option("--amount", metavar="N", help="How much of this validator's stake.", min=1)
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back what was not said yet.", show_default=False)
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
) -> None:
    """Have this validator hand part of its stake to another, or to a stranger that becomes one by it.

    The running validator signs the transfer; one that does not run does so when it is started again. The
    stake leaves with one of the next two epochs' records and arrives with the one after; in between nobody
    votes with it, and evidence against this validator still takes it.
    """
    from node.keys import load_key
    from node.stake_wish import StakeWish, read_wish, write_wish

    directory = existing_directory(settings_of(home, network))
    genesis = genesis_of(directory)
    wish = read_wish(directory, genesis.network_id)
    if undo:
        if wish is not None and wish.said_in:
            raise CommandError(
                f"the transfer to {short_key(wish.to)} is signed and known to others: it stays",
                ExitCode.NODE_STATE,
            )
        write_wish(directory, None)
        say("stays")
        return
    if to is None or amount is None:
        raise CommandError("say --to whom and what --amount", ExitCode.USAGE)
    if wish is not None:
        raise CommandError(
            f"a transfer of {wish.amount} to {short_key(wish.to)} is under way: wait until the log says "
            "stake.moved, or take it back with --undo",
            ExitCode.NODE_STATE,
        )
    newest = newest_epoch(directory, genesis)
    key, cards = _recipient(to, genesis, newest)
    reason = refusal(newest, load_key(directory.key).public_key, key, amount, cards)
    if reason is not None:
        raise CommandError(f"the network would not take it up: {reason}", ExitCode.BAD_INPUT)
    write_wish(directory, StakeWish(genesis.network_id, key, amount, cards, ()))
    say(f"hands {amount} to {short_key(key)}")
    note("Keep the validator running until its log says stake.moved: the stake is on its way then.")


def newest_epoch(directory: DataDir, genesis: Genesis) -> Epoch:
    """The newest epoch a validator's store knows, genesis' where it has none. Raises StoreError."""
    from node.epochs.history import ReadEpochs
    from protocol.epochs.view import Epoch

    with reading_store(directory) as store:
        if store is None:
            return Epoch.first(genesis)
        epochs = ReadEpochs(genesis, store)
        epochs.find(store.newest_epoch())
        return epochs.newest


def _recipient(to: str, genesis: Genesis, newest: Epoch) -> tuple[bytes, tuple[SignedCard, ...]]:
    """Who is to get it; with its card where the newest record does not know it."""
    from node.joining import signed_card
    from node.member_card import load_card

    if re.fullmatch(r"[0-9a-fA-F]{64}", to):
        key = bytes.fromhex(to)
        if key not in newest.states:
            raise CommandError(
                f"{short_key(key)} is no validator yet: a newcomer's stake needs its card, --to FILE",
                ExitCode.BAD_INPUT,
            )
        return key, ()
    card = load_card(Path(to).expanduser())
    if card.member.public_key in newest.states:
        return card.member.public_key, ()
    return card.member.public_key, (signed_card(card, genesis),)


def refusal(newest: Epoch, me: bytes, to: bytes, amount: int, cards: tuple[SignedCard, ...]) -> str | None:
    """Why no record takes a transfer up; not for a second one in one epoch, which waits by itself."""
    from protocol.epochs.stakes import transfer_fault, transfer_refusal
    from protocol.messages import StakeTransfer
    from protocol.schedule import first_place
    from protocol.statement import Statement

    at = first_place(newest)
    draft = Statement(StakeTransfer(at, to, amount, cards), me, b"", b"", b"")
    if any(held.giver == me for held in newest.record.transfers):
        return transfer_fault(newest, draft)
    return transfer_fault(newest, draft) or transfer_refusal(newest, draft)
