"""`deltamesh verify`: check a report offline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, genesis_of, settings_of
from node.cli.output import counted, note, print_json, say, short_key

if TYPE_CHECKING:
    from node.bundle import Bundle
    from node.certified import CheckStep
    from node.verify import Verification
    from protocol.genesis import Genesis

_PPM = 1_000_000


def verify(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="A .dmr file of `deltamesh rounds export`.")
    ],
    network_id: Annotated[
        str | None, typer.Option("--network-id", metavar="HEX", help="The network you trust, 64 digits.")
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option("--genesis", metavar="FILE", help="Or its genesis file.")
    ] = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Check all a report claims: masks, commits, reveals, scores, weights, consensus, signatures, quorum.

    Needs no network and no node, only the network id or genesis you trust; without either, that of this
    node's own network. Exit code 5 when the report is refused.
    """
    from node.certified import VerificationFailed
    from node.verify import verify_bundle

    trusted_id, trusted = _trusted(network_id, genesis, home, network)
    bundle = _bundle(report)
    passed: list[CheckStep] = []

    def on_step(step: CheckStep) -> None:
        passed.append(step)
        if not json_:
            counts = ", ".join(counted(count, name.removesuffix("s")) for name, count in step.counts.items())
            say(f"✓ {step.check.value:<12} {counts}")

    try:
        found = verify_bundle(bundle, trusted_id, trusted, on_step)
    except VerificationFailed as failure:
        if json_:
            checks = [{"check": step.check.value, "counts": dict(step.counts)} for step in passed]
            failed = {"check": failure.check.value, "reason": failure.reason}
            print_json({"accepted": False, "checks": checks, "failed": failed})
        else:
            say(f"✗ {failure.check.value:<12} {failure.reason}")
        raise CommandError(
            f"{report} is refused: {failure}; believe nothing in it", ExitCode.REFUSED
        ) from None
    if json_:
        print_json({"accepted": True, **_document(found)})
    else:
        _print_accepted(found)


def _trusted(
    network_id: str | None, genesis: Path | None, home: Path | None, network: str | None
) -> tuple[bytes | None, Genesis | None]:
    from config.genesis import load_genesis

    if network_id is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", network_id):
        raise CommandError(
            f"'{network_id[:80]}' is no network id: it has 64 hexadecimal digits, as `deltamesh "
            "genesis show` prints",
            ExitCode.USAGE,
        )
    if network_id is not None or genesis is not None:
        return (
            bytes.fromhex(network_id) if network_id is not None else None,
            load_genesis(genesis) if genesis is not None else None,
        )
    from config.datadir import DataDir

    settings = settings_of(home, network)
    own = DataDir(settings.directory.expanduser().absolute())
    if not own.genesis.exists():
        raise CommandError(
            "say which network you trust: --network-id HEX or --genesis FILE, from a source other "
            "than the report",
            ExitCode.USAGE,
        )
    trusted = genesis_of(own)
    note(f"Trusting the network of {own.root}: {trusted.network_id.hex()}.")
    return None, trusted


def _bundle(report: Path) -> Bundle:
    from node.bundle import BundleError, read_bundle

    if not report.is_file():
        raise CommandError(f"there is no file {report}: check the path", ExitCode.BAD_INPUT)
    try:
        return read_bundle(report)
    except BundleError as error:
        # A file that cannot be read says nothing about the report in it; a damaged one is refused.
        if isinstance(error.__cause__, OSError):
            raise
        raise CommandError(f"{report} is refused: {error}", ExitCode.REFUSED) from None


def _document(found: Verification) -> dict[str, object]:
    return {
        "network_id": found.network_id,
        "epoch": found.at.epoch,
        "round": found.at.round,
        "shard": found.at.shard,
        "report": found.report,
        "dealer": found.dealer,
        "stake": found.stake,
        "total_stake": found.total_stake,
        "checks": [{"check": step.check.value, "counts": dict(step.counts)} for step in found.steps],
        "deviations": [
            {"term": one.term, "encoder": one.encoder, "difference_ppm": one.difference_ppm}
            for one in found.deviations
        ],
    }


def _print_accepted(found: Verification) -> None:
    worst_ppm = max((one.difference_ppm for one in found.deviations), default=0)
    say(
        f"Accepted: round {found.at.round}, shard {found.at.shard}, dealt by "
        f"{short_key(found.dealer)}, attested by "
        f"{found.stake:,} of {found.total_stake:,} stake; recomputed numbers lie within "
        f"{worst_ppm / _PPM:.6f}."
    )
