"""`deltamesh verify`: check a report offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.checks_view import checks_document, say_held, tell_refused
from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, settings_of
from node.cli.output import print_json, say, short_key
from node.cli.sources import TokenOption, UrlOption
from node.cli.trusting import GenesisOption, NetworkIdOption, trusted_network

if TYPE_CHECKING:
    from node.bundle import Bundle
    from node.certified import CheckStep
    from node.verify import Verification

_PPM = 1_000_000


def verify(
    report: Annotated[
        Path | None,
        typer.Argument(
            metavar="[REPORT]", help="A .dmr file of `deltamesh rounds export`.", show_default=False
        ),
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(
            "--item", metavar="ID", help="Or the embedding a validator has of an item.", show_default=False
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Or of this text, known to you.", show_default=False),
    ] = None,
    space: Annotated[
        str, typer.Option("--space", metavar="SPACE", help="Of that embedding: newest, raw or an epoch.")
    ] = "newest",
    network_id: NetworkIdOption = None,
    genesis: GenesisOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Check all a report claims: masks, commits, reveals, scores, weights, consensus, signatures, quorum.

    Of a report, needs no network and no node, only the network id or genesis you trust; without either, that
    of this node's own network. With --item or --text a validator's HTTP API is asked (--url), and believed in
    nothing: the chain of epochs, the report's header, its quorum, the Merkle proof and the shaped vector are
    checked. Exit code 5 when anything is refused.
    """
    if (report is None) == (item is None and text is None):
        raise CommandError("give a report's file, or --item ID, or --text TEXT", ExitCode.USAGE)
    if report is None:
        from node.cli.verify_item import verify_item

        verify_item(
            item, text, space, settings_of(home, network, url=url, token=token), network_id, genesis, json_
        )
        return
    from node.certified import VerificationFailed
    from node.verify import verify_bundle

    trusted_id, trusted = trusted_network(network_id, genesis, settings_of(home, network))
    bundle = _bundle(report)
    passed: list[CheckStep] = []

    def on_step(step: CheckStep) -> None:
        passed.append(step)
        if not json_:
            say_held(step)

    try:
        found = verify_bundle(bundle, trusted_id, trusted, on_step)
    except VerificationFailed as failure:
        tell_refused(failure, passed, json_)
        raise CommandError(
            f"{report} is refused: {failure}; believe nothing in it", ExitCode.REFUSED
        ) from None
    if json_:
        print_json({"accepted": True, **_document(found)})
    else:
        _print_accepted(found)


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
        "checks": checks_document(found.steps),
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
