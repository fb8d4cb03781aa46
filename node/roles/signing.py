"""The node's signer: opened when nothing it signs can contradict an earlier vote, mended when it fails."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from node.clock import now_ms, sleep_until_ms
from node.roles.base import Node
from node.signer import History, OpensLaterError, Signer, SignerError
from node.store import StoreError
from protocol.schedule import round_at, slot_start_ms

LOOK_EVERY_S = 3.0
WAIT_ROUNDS_MAX = 8
"""A signer that opens later than in so many rounds is refused instead of waited for."""

log = structlog.get_logger(__name__)


async def open_signer(node: Node, newest_certified: int | None = None) -> Signer:
    """The node's signer, which votes from the next round on. Raises SignerError.

    An earlier process with this key may have voted in the round that runs now, or in one that is certified
    already where this clock is behind. When the signer's files were put back from an older copy it opens only
    some rounds later: a short wait is waited out, a long one is the operator's to look at.
    """
    while True:
        first_round = _first_round(node, newest_certified)
        try:
            signer = Signer.open(
                node.directory.signer,
                node.key.seed,
                node.genesis.network_id,
                first_round=first_round,
                at_boundary=lambda boundary: node.at_boundary(f"signer {boundary.value}"),
            )
        except OpensLaterError as error:
            if error.first_round_min > first_round + WAIT_ROUNDS_MAX - 1:
                raise
            log.warning("signer.waiting", until_round=error.first_round_min - 1, reason=str(error))
            await sleep_until_ms(slot_start_ms(node.genesis, error.first_round_min - 1))
        else:
            _tell_history(signer)
            return signer


async def mend_signer(node: Node, signer: Signer, last_certified: Callable[[], int | None]) -> None:
    """Reopen a signer whose disk was full, as soon as it can write again. Never returns."""
    while True:
        await trio.sleep(LOOK_EVERY_S)
        if not await trio.to_thread.run_sync(signer.has_failed):
            continue
        try:
            await trio.to_thread.run_sync(signer.reopen, _first_round(node, last_certified()))
        except (SignerError, StoreError) as error:
            log.warning("signer.failed", reason=str(error))
        else:
            _tell_history(signer)
            log.info("signer.reopened", first_round=signer.first_round)


def _first_round(node: Node, newest_certified: int | None) -> int:
    return max(
        0, round_at(node.genesis, now_ms()) + 1, -1 if newest_certified is None else newest_certified + 1
    )


def _tell_history(signer: Signer) -> None:
    if signer.history is History.ROLLED_BACK:
        log.warning(
            "signer.rolled_back",
            reason="its records were put back from an older copy, so earlier votes may be missing in them; "
            f"it votes from round {signer.first_round} on",
        )
