"""`deltamesh genesis`: make a network of member cards, and look at one."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption
from node.cli.output import (
    counted,
    moment,
    note,
    now_ms,
    print_facts,
    print_json,
    print_table,
    say,
    short_key,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.member_card import MemberCard
    from protocol.genesis import Genesis, NetworkParameters

app = typer.Typer(help="Make a network of member cards, and look at one.", no_args_is_help=True)

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@app.command("create")
def create(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write the genesis file.")],
    cards: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Member cards.")] = None,
    card: Annotated[
        list[Path] | None, typer.Option("--card", metavar="FILE", help="A member card. Repeatable.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="Parameters: localnet or testnet.")] = "testnet",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one, such as slot_ms=20000. Repeatable."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What people call the network.")] = "testnet",
    start: Annotated[
        str,
        typer.Option("--start", metavar="WHEN", help="Start of round 0: +30s, +2m, +1h or an ISO 8601 time."),
    ] = "+2m",
) -> None:
    """Make the genesis file of a network from its members' cards.

    The order of the cards does not matter. The length of the hash chains is the cards', the other
    parameters are the preset's but for those that are --set.
    """
    from config.genesis import save_genesis
    from node.member_card import load_card
    from node.membership import assemble_genesis
    from protocol.genesis import EncoderMember, ValidatorMember

    paths = [*(card or []), *(cards or [])]
    if not paths:
        raise CommandError(
            "no member cards given: name them after --card; members make them with `deltamesh init "
            "--role ...`",
            ExitCode.USAGE,
        )
    if to.exists():
        raise CommandError(
            f"{to} exists and is not overwritten: move it away, or write --to another file",
            ExitCode.BAD_INPUT,
        )
    loaded = [load_card(path) for path in paths]
    members = [one.member for one in loaded]
    genesis = assemble_genesis(
        name,
        _with_chain_length(_parameters(preset, set_ or []), paths, loaded),
        [member for member in members if isinstance(member, ValidatorMember)],
        [member for member in members if isinstance(member, EncoderMember)],
        start_ms(start, now_ms()),
        secrets.token_bytes(32),
    )
    save_genesis(to, genesis)
    say(genesis.network_id.hex())
    _note_on_new(genesis, to)
    _warn_of_shared_pools(genesis)


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A genesis file.")], json_: JsonOption = False
) -> None:
    """Print what a genesis file says: its network id, parameters and members."""
    import json

    from config.genesis import genesis_to_text, load_genesis

    genesis = load_genesis(file)
    if json_:
        print_json(json.loads(genesis_to_text(genesis)))
        return
    content, parameters = genesis.content, genesis.parameters
    print_facts(
        {
            "name": content.name,
            "network id": genesis.network_id.hex(),
            "start": moment(content.genesis_time_ms),
            **{field: str(getattr(parameters, field)) for field in parameters.__struct_fields__},
        }
    )
    print_table(
        counted(len(content.validators), "validator"),
        ["key", "stake", "challenge items", "addresses"],
        [
            [short_key(m.public_key), f"{m.stake:,}", f"{m.pool_size:,}", ", ".join(m.addresses) or "-"]
            for m in content.validators
        ],
        right=frozenset({"stake", "challenge items"}),
    )
    print_table(
        counted(len(content.encoders), "encoder"),
        ["key", "stake"],
        [[short_key(m.public_key), f"{m.stake:,}"] for m in content.encoders],
        right=frozenset({"stake"}),
    )


def start_ms(text: str, at_ms: int) -> int:
    """Unix milliseconds of `+2m` after `at_ms`, or of an ISO 8601 time (UTC unless it says otherwise)."""
    relative = re.fullmatch(r"\+([0-9]{1,6})([smhd])", text)
    if relative:
        return at_ms + int(relative[1]) * _UNITS_MS[relative[2]]
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--start '{text[:80]}' is no time: write +30s, +2m, +1h, +1d or 2026-01-31T12:00:00Z",
            ExitCode.USAGE,
        ) from None
    milliseconds = round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1_000)
    if milliseconds < 0:
        raise CommandError(f"--start '{text}' lies before 1970: choose a later time", ExitCode.USAGE)
    return milliseconds


def _parameters(preset: str, changes: Sequence[str]) -> NetworkParameters:
    import msgspec

    from config.presets import changed_parameters, fitting
    from config.presets import preset as preset_of
    from protocol.modalities import MODALITIES

    start = preset_of(preset).parameters
    changed = changed_parameters(start, changes)
    # Only where it was changed: a look at rules and encoders loads the numeric libraries.
    if changed.rule != start.rule:
        from scoring.rule import RULES

        _insist_on_known("rule", changed.rule, tuple(RULES))
    _insist_on_known("modality", changed.modality, tuple(MODALITIES))
    if changed.modality != start.modality:
        fitted = fitting(changed, changes)
        if fitted.served_items_max < changed.served_items_max:
            note(
                f"served_items_max is {fitted.served_items_max}, not {changed.served_items_max}: a wave has "
                f"no room for more {changed.modality} beside {changed.scored_items} scored items."
            )
        changed = fitted
    named = any(change.startswith("reference_encoder=") for change in changes)
    if changed.modality != start.modality and not named:
        from node.encoders.built_in import REFERENCES

        return msgspec.structs.replace(changed, reference_encoder=REFERENCES[changed.modality])
    if named:
        from node.encoders.built_in import encoder_names

        _insist_on_known("reference_encoder", changed.reference_encoder, encoder_names(changed.modality))
    return changed


def _insist_on_known(parameter: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise CommandError(
            f"--set {parameter}={value[:80]}: choose one of {', '.join(known)}", ExitCode.USAGE
        )


def _with_chain_length(
    parameters: NetworkParameters, paths: Sequence[Path], cards: Sequence[MemberCard]
) -> NetworkParameters:
    import msgspec

    lengths = {one.chain_length: path for path, one in zip(paths, cards, strict=True) if one.chain_length}
    if len(lengths) > 1:
        (first, first_path), (second, second_path) = list(lengths.items())[:2]
        raise CommandError(
            f"{first_path} has a hash chain of {first} steps and {second_path} of {second}: make "
            "one of the cards "
            f"again with `deltamesh init --chain-length {first}`",
            ExitCode.BAD_INPUT,
        )
    return msgspec.structs.replace(parameters, chain_length=next(iter(lengths))) if lengths else parameters


def _note_on_new(genesis: Genesis, to: Path) -> None:
    content, parameters = genesis.content, genesis.parameters
    note(
        f"Wrote {to}: network {content.name} of {counted(len(content.validators), 'validator')} and "
        f"{counted(len(content.encoders), 'encoder')}; round 0 starts {moment(content.genesis_time_ms)}."
    )
    covered_ms = parameters.chain_length // parameters.shards_per_round * parameters.slot_ms
    batches = min(member.pool_size for member in content.validators) // parameters.scored_items
    note(
        f"Its smallest pool of challenge items lasts {counted(batches, 'turn')} of dealing, a turn of "
        f"{span(parameters.slot_ms)} each; members who give more --data last longer."
    )
    note(f"Its hash chains last {span(covered_ms)}. Send the file to every member, who runs:")
    known = [address for member in content.validators for address in member.addresses]
    if known:
        note("  deltamesh init --genesis FILE")
    else:
        note("  deltamesh init --genesis FILE --bootstrap ADDR")
        note("where ADDR is the address of one validator, with its /p2p/ part: no card names any.")


def _warn_of_shared_pools(genesis: Genesis) -> None:
    owners: dict[bytes, list[str]] = {}
    for member in genesis.content.validators:
        owners.setdefault(member.pool_root, []).append(short_key(member.public_key))
    for keys in owners.values():
        if len(keys) > 1:
            note(
                f"warning: the validators {', '.join(keys)} challenge with the same items, so that encoders "
                "meet every item again; prepare each with text of its own (`deltamesh init --data`)."
            )
