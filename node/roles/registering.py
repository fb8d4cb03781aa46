"""An encoder that is no member yet asks to be one, each epoch until it is; one that is told to leave does."""

from __future__ import annotations

import structlog
import trio

from config.datadir import DataDir
from node.clock import now_ms
from node.driver import STATEMENT_METHOD
from node.network.errors import RequestError
from node.network.host import Host
from node.roles.base import Node
from node.statements import Statements
from protocol.epochs.known import Epochs
from protocol.epochs.registration import NO_WORK, find_work
from protocol.messages import Exit, Registration
from protocol.schedule import ShardRound, round_at, shard_round
from protocol.verdict import Verdict

LEAVING_FILE_NAME = "leaving"
RUNNING, REGISTERING, LEAVING, LEFT = "running", "registering", "leaving", "left"
"""Phases of an encoder's status: a member, not yet one, one that was told to leave, and has left."""
LOOK_EVERY_S = 2.0
TRIES_AT_A_TIME = 1 << 14
"""Nonces tried before the epoch is looked at again."""
VALIDATORS_TOLD = 3

log = structlog.get_logger(__name__)


def is_leaving(directory: DataDir) -> bool:
    """Whether this encoder was told to leave its network."""
    return (directory.root / LEAVING_FILE_NAME).exists()


def set_leaving(directory: DataDir, *, wished: bool) -> None:
    """Tell the encoder of a data directory to leave its network, or to stay."""
    path = directory.root / LEAVING_FILE_NAME
    if wished:
        path.touch()
    else:
        path.unlink(missing_ok=True)


class Registering:
    """Keeps one encoder registered, or has it leave. It works out one proof of work an epoch at most."""

    def __init__(self, node: Node, epochs: Epochs, host: Host, statements: Statements) -> None:
        self._node = node
        self._epochs = epochs
        self._host = host
        self._statements = statements
        self._asked_epoch = -1
        self._found: tuple[int, bytes] | None = None  # epoch, its work: until somebody has taken it

    @property
    def is_member(self) -> bool:
        """Whether this node is an encoder of the newest epoch."""
        return self._node.me in self._epochs.newest.encoders

    @property
    def is_convicted(self) -> bool:
        """Whether evidence has taken this node's stake: there is no way back."""
        return any(
            state.public_key == self._node.me and not state.stake
            for state in self._epochs.newest.table.encoders
        )

    @property
    def phase(self) -> str:
        """What the status says of this encoder's membership."""
        if self.is_convicted:
            return "convicted"
        leaving = is_leaving(self._node.directory)
        if self.is_member:
            return LEAVING if leaving else RUNNING
        return LEFT if leaving else REGISTERING

    async def run(self) -> None:
        """Register whenever this node is no member and was not told to leave; never returns."""
        while True:
            epoch = self._epoch()
            leaving = is_leaving(self._node.directory)
            due = leaving == self.is_member and epoch >= 0 and epoch != self._asked_epoch
            if due and not self.is_convicted and self._validators():
                if leaving:
                    await self._say(epoch, Exit(self._place(epoch)))
                else:
                    await self._register(epoch)
            await trio.sleep(LOOK_EVERY_S)

    def _epoch(self) -> int:
        return round_at(self._node.genesis, now_ms()) // self._node.genesis.parameters.epoch_rounds

    def _validators(self) -> list[bytes]:
        connected = (peer.public_key for peer in self._host.peers())
        return [key for key in connected if key in self._epochs.newest.validators][:VALIDATORS_TOLD]

    async def _register(self, epoch: int) -> None:
        work = await self._work(epoch)
        if work is None:
            return
        model = self._node.settings.model[:200]
        await self._say(epoch, Registration(self._place(epoch), model, (), work))

    def _place(self, epoch: int) -> ShardRound:
        genesis = self._node.genesis
        return shard_round(genesis, epoch * genesis.parameters.epoch_rounds, 0)

    async def _say(self, epoch: int, body: Registration | Exit) -> None:
        statement = await self._statements.sign(body)
        heard = 0
        for key in self._validators():
            try:
                answer = await self._host.request(key, STATEMENT_METHOD, statement.data, timeout_s=10.0)
            except RequestError as error:
                log.info(f"{statement.kind.value}.unsent", peer=key.hex()[:8], reason=str(error))
                continue
            heard += answer != Verdict.REJECT.value.encode()
        if heard:
            self._asked_epoch = epoch
            log.info(f"{statement.kind.value}.sent", epoch=epoch, validators=heard)

    async def _work(self, epoch: int) -> bytes | None:
        """The nonce; None when the epoch ended before it was found."""
        genesis, me = self._node.genesis, self._node.me
        if me in genesis.bonds or me in genesis.encoders:
            return NO_WORK
        if self._found is not None and self._found[0] == epoch:
            return self._found[1]
        bits = genesis.parameters.registration_work_bits
        log.info("registration.working", epoch=epoch, bits=bits)
        start = 0
        while self._epoch() <= epoch + 1:
            found = await trio.to_thread.run_sync(
                find_work, genesis.network_id, me, epoch, bits, start, TRIES_AT_A_TIME
            )
            if found is not None:
                self._found = (epoch, found)
                return found
            start += TRIES_AT_A_TIME
        return None
