"""`deltamesh verify --item`: check one embedding at a validator that need not be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.checks_view import checks_document, say_held, tell_refused
from node.cli.errors import CommandError, ExitCode
from node.cli.output import print_json, say, short_key
from node.cli.sources import asked_url, asking
from node.cli.trusting import trusted_network

if TYPE_CHECKING:
    from config.settings import Settings
    from node.certified import CheckStep
    from node.client import VerifiedItem


def verify_item(
    item: str | None,
    text: str | None,
    space: str,
    settings: Settings,
    network_id: str | None,
    genesis: Path | None,
    json_: bool,
) -> None:
    """Fetch an item's embedding and proof, and check all of it. Raises CommandError, ClientError."""
    from node.client import VerificationFailed
    from node.client.core import canonical
    from protocol.items import item_id

    trusted_id, trusted = trusted_network(network_id, genesis, settings)
    name = item if item is not None else item_id(canonical(text or "")).hex()
    passed: list[CheckStep] = []

    def on_step(step: CheckStep) -> None:
        passed.append(step)
        if not json_:
            say_held(step)

    with asking(asked_url(settings), settings.token, trusted_id, trusted) as client:
        try:
            found = client.verify_item(name, text=text, space=space, on_step=on_step)
        except VerificationFailed as failure:
            tell_refused(failure, passed, json_)
            raise CommandError(
                f"the embedding of item {name[:16]} is refused: {failure}; believe nothing of it",
                ExitCode.REFUSED,
            ) from None
    if json_:
        print_json({"accepted": True, **_document(found)})
    else:
        in_space = "raw" if found.space_epoch is None else f"in the space of epoch {found.space_epoch}"
        say(
            f"Accepted: item {name[:16]}, {in_space}, of round {found.at.round}, shard {found.at.shard}, "
            f"dealt by {short_key(found.dealer)}, attested by {found.stake:,} of {found.total_stake:,} stake."
        )


def _document(found: VerifiedItem) -> dict[str, object]:
    return {
        "network_id": found.network_id,
        "item_id": found.item_id,
        "epoch": found.at.epoch,
        "round": found.at.round,
        "shard": found.at.shard,
        "position": found.position,
        "certificate": found.report,
        "dealer": found.dealer,
        "stake": found.stake,
        "total_stake": found.total_stake,
        "space_epoch": found.space_epoch,
        "difference": found.difference,
        "checks": checks_document(found.steps),
    }
