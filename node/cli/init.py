"""`deltamesh init`: prepare a node, and join a network."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    AnnounceOption,
    BootstrapOption,
    DataOption,
    HomeOption,
    JsonOption,
    ListenOption,
    NetworkOption,
    settings_of,
)
from node.cli.output import counted, note, print_json, say, short_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.datadir import DataDir
    from config.settings import Settings
    from node.member_card import MemberCard
    from protocol.genesis import Genesis
    from protocol.modalities import Modality

STAKE_DEFAULT = 100
CHAIN_LENGTH_DEFAULT = 65_536
"""Shard-rounds a validator's hash chain covers unless told: 45 days of slots of a minute."""


class Role(StrEnum):
    """What a node does in the network."""

    VALIDATOR = "validator"
    ENCODER = "encoder"


def init(
    role: Annotated[Role | None, typer.Option("--role", help="What the node is to be.")] = None,
    genesis: Annotated[
        Path | None, typer.Option("--genesis", metavar="FILE", help="Join the network this file describes.")
    ] = None,
    bootstrap: BootstrapOption = None,
    announce: AnnounceOption = None,
    listen: ListenOption = None,
    data: DataOption = None,
    modality: Annotated[
        str | None,
        typer.Option(
            "--modality",
            metavar="NAME",
            help="Of a validator's items: text, image, audio, series, bytes [default: text]",
            show_default=False,
        ),
    ] = None,
    stake: Annotated[int, typer.Option("--stake", help="Stake asked for on the card.")] = STAKE_DEFAULT,
    chain_length: Annotated[
        int, typer.Option("--chain-length", help="Shard-rounds a validator's hash chain covers.")
    ] = CHAIN_LENGTH_DEFAULT,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Prepare a node, or join a network with --genesis.

    Without --genesis: makes the key (a validator also gets its pool of challenge items and its hash chain)
    and prints the member card to hand to whoever assembles the genesis. With --genesis: checks the file and
    this node's place in it, and keeps it with the addresses given; a validator that joins a network that runs
    (--role validator) gets a card for it too, to hand to whoever gives it stake. Nothing that is there is
    overwritten.
    """
    from config.datadir import DataDir
    from node.cli.config_file import add_settings

    settings = settings_of(home, network, bootstrap=bootstrap, announce=announce, listen=listen, data=data)
    directory = DataDir.open(settings.home, settings.network)
    with directory.lock():
        if genesis is not None:
            document = _join(directory, genesis, role)
            if role is Role.VALIDATOR and not document["member"]:
                document |= _prepare(directory, settings, role, stake, chain_length, modality)
        else:
            document = _prepare(directory, settings, role, stake, chain_length, modality)
        given = {"bootstrap": bootstrap, "announce": announce, "listen": listen}
        written: dict[str, Sequence[str] | str] = {key: value for key, value in given.items() if value}
        if data is not None:
            written["data"] = str(data.expanduser().absolute())
        add_settings(directory.config, written)
    if document["role"] == Role.VALIDATOR:
        _warn_of_reach(settings)
    if json_:
        print_json(document)
    elif "card" in document:
        # The card alone goes to standard output, so that it can be piped to a file or a colleague.
        say(directory.card.read_text(encoding="utf-8").rstrip("\n"))


def _prepare(
    directory: DataDir,
    settings: Settings,
    role: Role | None,
    stake: int,
    chain_length: int,
    modality: str | None,
) -> dict[str, object]:
    from node.cli.text_file import replace_text
    from node.joining import joining_card
    from node.member_card import MemberCard, card_to_text, load_card
    from node.membership import ensure_key, pool_path, prepare_encoder, prepare_validator

    path = directory.card
    before = load_card(path) if path.exists() else None
    if role is None and before is None:
        raise CommandError(
            "say what the node is to be: `deltamesh init --role validator` or `--role encoder`",
            ExitCode.USAGE,
        )
    if role is not None and before is not None and before.role != role:
        raise CommandError(
            f"{directory.root} was prepared as the {before.role} "
            f"{short_key(before.member.public_key)}: prepare "
            f"the {role} with a key of its own, in another --home",
            ExitCode.NODE_STATE,
        )
    if (role or (before.role if before else None)) == Role.VALIDATOR:
        key = ensure_key(directory)
        joins = _network_joined(directory, key.public_key)
        if pool_path(directory).exists():
            note("The pool of challenge items is kept as it is: it was fixed when the first card was made.")
        kind = _modality(directory, modality, joins)
        member = prepare_validator(
            directory,
            lambda: challenge_items(settings.data, kind),
            stake=stake,
            addresses=settings.announce,
            chain_length=chain_length if joins is None else joins.parameters.chain_length,
            modality=kind,
        )
        card = MemberCard(member, chain_length) if joins is None else joining_card(key, joins, member)
    else:
        card = MemberCard(prepare_encoder(directory, stake=stake))
    replace_text(path, card_to_text(card))
    _say_what_next(directory, card)
    return {"role": card.role, "public_key": card.member.public_key, "card": str(path)}


def _network_joined(directory: DataDir, public_key: bytes) -> Genesis | None:
    """The running network a validator is to join; None where it is not known, or knows it already."""
    from config.genesis import load_genesis

    if not directory.genesis.exists():
        return None
    genesis = load_genesis(directory.genesis)
    if public_key in genesis.encoders:
        raise CommandError(
            f"the key of {directory.root} is one of the encoders of its network: give the validator a key of "
            "its own, in another --home",
            ExitCode.NODE_STATE,
        )
    return None if public_key in genesis.validators else genesis


def _modality(directory: DataDir, asked: str | None, joins: Genesis | None) -> Modality:
    """What the pool holds, or is to hold."""
    from node.membership import pool_path
    from node.pool import Pool
    from protocol.modalities import MODALITIES, TEXT

    if asked is not None and asked not in MODALITIES:
        raise CommandError(
            f"there is no modality '{asked}': use one of {', '.join(MODALITIES)}", ExitCode.USAGE
        )
    if joins is not None:
        if asked not in (None, joins.modality.name):
            raise CommandError(
                f"the network embeds {joins.modality.name}, not {asked}: leave --modality out", ExitCode.USAGE
            )
        return joins.modality
    if asked is not None:
        return MODALITIES[asked]
    path = pool_path(directory)
    return Pool.load(path).modality if path.exists() else TEXT


def challenge_items(data: Path | None, modality: Modality) -> list[bytes]:
    """The distinct canonical items a validator challenges with. Raises CorpusError."""
    from node.cli.reading import read_items
    from node.modalities import load_challenge_items

    note(f"Reading challenge items ({modality.name}) ...")
    return read_items(load_challenge_items, modality.name, data)


def _say_what_next(directory: DataDir, card: MemberCard) -> None:
    from protocol.genesis import ValidatorMember

    note(f"Prepared the {card.role} {short_key(card.member.public_key)} in {directory.root}.")
    if isinstance(card.member, ValidatorMember):
        note(
            f"Its pool holds {counted(card.member.pool_size, 'challenge item')}, fixed from now on; they and "
            "chain.seed are secrets like the key: back them up."
        )
        for address in card.member.addresses:
            note(f"Others find it at {address}.")
        if not card.member.addresses:
            note(
                "The card names no address: others find this validator only through bootstrap "
                "peers (--announce)."
            )
    place = f"--home {directory.root.parent} --network {directory.root.name}"
    if card.signature:
        note(f"Hand the card below ({directory.card}) to a validator, who gives it stake:")
        note("  deltamesh stake transfer --to FILE --amount N")
        note("and start this node, which takes part as soon as it has some:")
        note(f"  deltamesh run {card.role} {place}")
        return
    note(f"Hand the card below ({directory.card}) to whoever assembles the genesis:")
    note("  deltamesh genesis create --card FILE... --to genesis.json")
    note("and with the genesis file they send back:")
    note(f"  deltamesh init --genesis genesis.json {place}")
    note(f"  deltamesh run {card.role} {place}")


def _warn_of_reach(settings: Settings) -> None:
    """Say so when other machines cannot reach a validator where it listens."""
    from config.addresses import is_loopback

    if not all(is_loopback(address) for address in settings.listen):
        return
    where = ", ".join(settings.listen)
    if any(not is_loopback(address) for address in settings.announce):
        note(f"warning: it listens on {where} only, so nobody reaches it at {', '.join(settings.announce)}:")
    else:
        note(f"It listens on {where}, which other machines do not reach. Where they should:")
    note("  give --listen /ip4/0.0.0.0/tcp/7700, or another --network name than localnet")


def _join(directory: DataDir, path: Path, role: Role | None) -> dict[str, object]:
    from config.genesis import load_genesis, save_genesis
    from node.membership import ensure_key

    genesis = load_genesis(path)
    if directory.genesis.exists():
        present = load_genesis(directory.genesis)
        if present.network_id != genesis.network_id:
            raise CommandError(
                f"{directory.root} belongs to network {present.network_id.hex()[:16]}, and {path} describes "
                f"{genesis.network_id.hex()[:16]}: join that one under another --network name",
                ExitCode.NODE_STATE,
            )
    key = ensure_key(directory)
    found = _role_in(genesis, key.public_key)
    if found is not None and role is not None and found is not role:
        raise CommandError(
            f"the key of {directory.root} is one of the {found}s of this network, not a {role}: "
            "leave --role out",
            ExitCode.BAD_INPUT,
        )
    _check_secrets(directory, genesis)
    if not directory.genesis.exists():
        save_genesis(directory.genesis, genesis)
    note(f"{directory.root} is set up for network {genesis.content.name} ({genesis.network_id.hex()}).")
    place = f"--home {directory.root.parent} --network {directory.root.name}"
    if found is not None:
        note(f"Its key {key.fingerprint} is one of the {found}s. Start it:")
        note(f"  deltamesh run {found} {place}")
    elif role is not Role.VALIDATOR:
        note(
            f"Its key {key.fingerprint} is no member yet. As an encoder it registers by itself when it runs:"
        )
        note(f"  deltamesh run encoder {place}")
        note("To become a validator, hand the card of")
        note(f"  deltamesh init --role validator {place}")
        note("to one, who gives it stake.")
    return {
        "network": genesis.content.name,
        "network_id": genesis.network_id,
        "public_key": key.public_key,
        "role": found,
        "member": found is not None,
    }


def _role_in(genesis: Genesis, public_key: bytes) -> Role | None:
    if public_key in genesis.validators:
        return Role.VALIDATOR
    return Role.ENCODER if public_key in genesis.encoders else None


def _check_secrets(directory: DataDir, genesis: Genesis) -> None:
    from node.keys import load_key
    from node.membership import membership_faults

    faults = membership_faults(directory, load_key(directory.key), genesis)
    if faults:
        raise CommandError(
            f"{directory.root} cannot run as the validator of this genesis: {' and '.join(faults)}; "
            "restore the "
            "files the card was made with, or hand over a new card (`deltamesh init --role validator`)",
            ExitCode.BAD_INPUT,
        )
