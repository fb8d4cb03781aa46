"""`deltamesh status`: what the running node says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    place_of,
    role_prepared,
    settings_of,
)
from node.cli.output import (
    moment,
    now_ms,
    print_facts,
    print_json,
    span,
)
from node.cli.sources import TokenOption, UrlOption, asking

if TYPE_CHECKING:
    from config.datadir import DataDir
    from config.settings import Settings
    from node.status import Liveness, NodeStatus


def status(
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Print what the node is doing. Exit code 4 when it is not running."""
    import msgspec

    directory, found, alive = last_status(settings_of(home, network, url=url, token=token))
    if json_:
        print_json({"state": alive.value, **(msgspec.to_builtins(found) if found else {})})
    elif found is not None:
        _print_status(found, alive)
    insist_on_running(directory, found, alive)


def last_status(settings: Settings) -> tuple[DataDir | None, NodeStatus | None, Liveness]:
    """The last word of a node; no directory where it was asked over HTTP: one that answers runs."""
    from node.status import STATUS_FILE_NAME, Liveness, liveness, read_status

    if settings.url:
        from node.cli.source_api import status_of

        with asking(settings.url, settings.token) as client:
            return None, status_of(client), Liveness.RUNNING
    directory = existing_directory(settings)
    found = read_status(directory.root / STATUS_FILE_NAME)
    return directory, found, Liveness.STOPPED if found is None else liveness(found, now_ms())


def _print_status(found: NodeStatus, alive: Liveness) -> None:
    process = f"process {found.pid}, " if found.pid else ""
    facts = {
        "state": f"{alive.value} ({process}version {found.version})",
        "role": found.role + (f", model {found.model}" if found.model else ""),
        "public key": found.public_key,
        "network": found.network_id,
        "embeds": found.modality or "-",
        "started": f"{moment(found.started_ms)} ({span(found.updated_ms - found.started_ms)} of running)",
        "last word": moment(found.updated_ms),
        "round": f"{found.round}" if found.round >= 0 else "before genesis",
        "phase": found.phase or "-",
        "last certified": "none yet"
        if found.last_certified_round is None
        else f"{found.last_certified_round}",
        "peers": f"{len(found.peers)}",
        "addresses": ", ".join(found.addresses) or "none",
    }
    if found.api is not None:
        facts["HTTP API"] = f"http://{found.api}"
    facts |= {name: f"{count:,}" for name, count in sorted(found.counters.items())}
    print_facts(facts)


def insist_on_running(directory: DataDir | None, found: NodeStatus | None, alive: Liveness) -> None:
    """Raises CommandError with what to do about a node that does not run, or says nothing."""
    from node.status import STALE_MS, Liveness

    if directory is None:
        return
    match alive:
        case Liveness.RUNNING:
            return
        case Liveness.SILENT:
            assert found is not None
            sentence = (
                f"process {found.pid} has said nothing for {span(now_ms() - found.updated_ms)} (it "
                "should every "
                f"second, at least within {STALE_MS // 1_000} s): look into {directory.logs}, then "
                "restart the node"
            )
        case Liveness.STOPPED:
            role = found.role if found is not None else role_prepared(directory)
            last = f" (last seen {moment(found.updated_ms)})" if found is not None else ""
            sentence = (
                f"no node is running in {directory.root}{last}: start it with "
                f"`deltamesh run {role} {place_of(directory)}`"
            )
    raise CommandError(sentence, ExitCode.NODE_STATE)
