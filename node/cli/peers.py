"""`deltamesh peers`: whom the running node is connected to, and whom it is to have nothing to do with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.duration import duration_ms
from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    is_for_subcommand,
    settings_of,
)
from node.cli.output import counted, moment, note, now_ms, print_json, print_table, say, short_key, span
from node.cli.sources import TokenOption, UrlOption
from node.cli.status import insist_on_running, last_status

if TYPE_CHECKING:
    from config.datadir import DataDir

app = typer.Typer(invoke_without_command=True)

PeerArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY|ADDRESS", help="A key, the beginning of a known one, an IP address or a multiaddress."
    ),
]


@app.callback()
def peers(
    ctx: typer.Context,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Print the peers the node is connected to; `ban` one of them. Exit code 4 when it is not running."""
    if is_for_subcommand(ctx):
        return
    import msgspec

    from node.status import Liveness

    directory, found, alive = last_status(settings_of(home, network, url=url, token=token))
    # Peers of the past are connected to nobody: they are not shown.
    connected = found.peers if found is not None and alive is not Liveness.STOPPED else ()
    if json_:
        print_json(msgspec.to_builtins(connected))
    elif connected:
        rows = [
            [
                short_key(peer.public_key),
                peer.role,
                "out" if peer.outbound else "in",
                span(now_ms() - peer.since_ms),
                f"{peer.penalty:g}",
                peer.address,
            ]
            for peer in connected
        ]
        print_table(
            counted(len(connected), "peer"),
            ["peer", "role", "direction", "connected for", "penalty", "address"],
            rows,
            right=frozenset({"connected for", "penalty"}),
        )
    elif alive is not Liveness.STOPPED:
        say("No peers yet: check --bootstrap, or wait for others to dial this node.")
    insist_on_running(directory, found, alive)


@app.command("ban")
def ban(
    peer: PeerArgument,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="LENGTH", help="As 90s, 10m, 1h or 2d. [default: for good]")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the list later.")
    ] = "",
    home: HomeOption = None,
    network: NetworkOption = None,
) -> None:
    """Close the connections with a peer and refuse new ones, in either direction.

    The running node obeys within a second; the list is kept when it stops. What a banned member has signed
    still counts where others pass it on: a ban is of connections, not of membership.
    """
    from node.bans import REASON_CHARACTERS_MAX, Ban, add_ban
    from node.cli.banned_peer import named_peer, refuse_own_key

    directory = existing_directory(settings_of(home, network))
    who = named_peer(peer, directory)
    refuse_own_key(who, directory)
    if len(reason) > REASON_CHARACTERS_MAX:
        raise CommandError(f"--reason takes at most {REASON_CHARACTERS_MAX} characters", ExitCode.USAGE)
    clock_ms = now_ms()
    until_ms = None if for_ is None else clock_ms + duration_ms(for_, "--for")
    add_ban(directory, Ban(who, clock_ms, until_ms, reason), clock_ms)
    say(f"banned {who}" + ("" if until_ms is None else f" until {moment(until_ms)}"))
    _say_when(directory)


@app.command("unban")
def unban(peer: PeerArgument, home: HomeOption = None, network: NetworkOption = None) -> None:
    """Lift the ban of a peer."""
    from node.bans import lift_ban
    from node.cli.banned_peer import named_peer

    directory = existing_directory(settings_of(home, network))
    who = named_peer(peer, directory)
    if not lift_ban(directory, who, now_ms()):
        raise CommandError(
            f"{who} is not banned: `deltamesh peers banned` lists who is; what a node does by itself for "
            "penalties ends after five minutes",
            ExitCode.BAD_INPUT,
        )
    say(f"no longer banned {who}")
    _say_when(directory)


@app.command("banned")
def banned(home: HomeOption = None, network: NetworkOption = None, json_: JsonOption = False) -> None:
    """List who is banned, since when, until when and why."""
    import msgspec

    from node.bans import read_bans

    directory = existing_directory(settings_of(home, network))
    clock_ms = now_ms()
    holding = [one for one in read_bans(directory) if one.holds(clock_ms)]
    if json_:
        print_json(msgspec.to_builtins(holding))
    elif not holding:
        say("Nobody is banned.")
    else:
        rows = [
            [
                one.who,
                moment(one.since_ms),
                "for good" if one.until_ms is None else moment(one.until_ms),
                one.reason or "-",
            ]
            for one in holding
        ]
        print_table(counted(len(holding), "ban"), ["peer", "since", "until", "reason"], rows)


def _say_when(directory: DataDir) -> None:
    from node.status import STATUS_FILE_NAME, Liveness, StatusError, liveness, read_status

    try:
        found = read_status(directory.root / STATUS_FILE_NAME)
    except StatusError:
        found = None
    running = found is not None and liveness(found, now_ms()) is not Liveness.STOPPED
    note("The running node obeys within a second." if running else "The node obeys when it is started.")
