"""A validator makes the stake transfer its operator wishes, and sees to it that it counts once."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from node.clock import now_ms
from node.network.host import Host
from node.roles.base import Node
from node.stake_wish import StakeWish, StakeWishError, read_wish, write_wish
from node.statements import Statements
from protocol.epochs.known import Epochs
from protocol.epochs.stakes import transfer_fault, transfer_refusal
from protocol.epochs.view import Epoch
from protocol.messages import Body, StakeTransfer
from protocol.schedule import first_place, round_at
from protocol.statement import Statement, statement_digest

LOOK_EVERY_S = 2.0
RECORDS_COUNTED_IN = 2
"""A transfer made in an epoch counts in the next two records, or never."""

log = structlog.get_logger(__name__)


class Transferring:
    """Carries out one wish at a time; one statement an epoch at most.

    What was said may still count until the record after next: only then is it said anew, so that no stake
    ever moves twice. That it was said is on the disk before it leaves.
    """

    def __init__(
        self,
        node: Node,
        epochs: Epochs,
        host: Host,
        statements: Statements,
        say: Callable[[Statement[Body]], None],
    ) -> None:
        """`say` takes note of a statement of one's own, and gossips it."""
        self._node = node
        self._epochs = epochs
        self._host = host
        self._statements = statements
        self._say = say
        self._said_here = (-1, -1)  # epoch it was made in, epoch in which it was said last
        self._told = ""

    async def run(self) -> None:
        """Look for a wish and carry it out; never returns."""
        while True:
            try:
                wish = await trio.to_thread.run_sync(self._wish)
                if wish is not None:
                    await self._carry_on(wish)
            except StakeWishError as error:
                self._tell("stake.unmoved", str(error))
            await trio.sleep(LOOK_EVERY_S)

    def _wish(self) -> StakeWish | None:
        return read_wish(self._node.directory, self._node.genesis.network_id)

    async def _keep(self, wish: StakeWish | None) -> None:
        await trio.to_thread.run_sync(write_wish, self._node.directory, wish)

    async def _carry_on(self, wish: StakeWish) -> None:
        if not wish.said_in:
            await self._make(wish)
            return
        (made,) = wish.said_in
        if any(self._has_taken_up(number, made) for number in range(made + 1, made + RECORDS_COUNTED_IN + 1)):
            await self._keep(None)
            log.info("stake.moved", to=wish.to.hex()[:8], amount=wish.amount)
        elif self._epochs.newest.number >= made + RECORDS_COUNTED_IN:
            self._tell("stake.unmoved", "no record took the transfer up: it is made again")
            await self._keep(StakeWish(wish.network_id, wish.to, wish.amount, wish.card, ()))
        elif self._said_here != (made, self._epoch()):
            # To whoever has not heard it, in an earlier epoch or from an earlier process.
            await self._sign_and_say(wish, made)

    def _has_taken_up(self, number: int, made: int) -> bool:
        epoch = self._epochs.find(number)
        return epoch is not None and any(
            (held.giver, held.made) == (self._node.me, made) for held in epoch.record.transfers
        )

    async def _make(self, wish: StakeWish) -> None:
        newest = self._epochs.newest
        number = self._epoch()
        epoch = self._epochs.find(number)
        if epoch is None or not self._is_heard():
            return  # before the start, or its record is not here yet, or nobody is
        reason = self._refusal(epoch, newest, wish)
        if reason is not None:
            self._tell("stake.waits", reason)
            return
        await self._keep(StakeWish(wish.network_id, wish.to, wish.amount, wish.card, (number,)))
        await self._sign_and_say(wish, number)

    def _epoch(self) -> int:
        return round_at(self._node.genesis, now_ms()) // self._node.genesis.parameters.epoch_rounds

    def _is_heard(self) -> bool:
        return any(peer.public_key in self._epochs.newest.validators for peer in self._host.peers())

    def _refusal(self, epoch: Epoch, newest: Epoch, wish: StakeWish) -> str | None:
        body = self._body(epoch, wish)
        name = statement_digest(self._node.genesis.network_id, self._node.me, body)
        draft = Statement(body, self._node.me, name, b"", b"")
        return transfer_fault(epoch, draft) or transfer_refusal(newest, draft)

    def _body(self, epoch: Epoch, wish: StakeWish) -> StakeTransfer:
        return StakeTransfer(first_place(epoch), wish.to, wish.amount, wish.card)

    async def _sign_and_say(self, wish: StakeWish, number: int) -> None:
        epoch = self._epochs.find(number)
        if epoch is None:
            return
        self._said_here = (number, self._epoch())
        self._say(await self._statements.sign(self._body(epoch, wish)))
        log.info("stake.offered", to=wish.to.hex()[:8], amount=wish.amount, epoch=number)

    def _tell(self, event: str, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            log.warning(event, reason=reason)
