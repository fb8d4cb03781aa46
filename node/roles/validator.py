"""The validator: deals when drawn, attests always, keeps what is certified."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import structlog
import trio

from node.api.running import ApiState, open_api
from node.blob_cache import BlobCache
from node.catch_up import CatchUp
from node.chain_file import load_chain_seed
from node.clock import now_ms, sleep_until_ms
from node.driver import Driver, Machine, Role
from node.epochs.admission import is_encoder_of_late, is_member_of_late
from node.epochs.desk import EpochDesk
from node.epochs.follow import EpochFollower
from node.epochs.history import open_epochs
from node.epochs.learnt_blobs import LearntBlobs
from node.epochs.lock_file import FILE_NAME as LOCK_FILE_NAME
from node.epochs.lock_file import read_lock
from node.epochs.peer_share import share_now
from node.handing_over import HandingOver
from node.joining import card_mismatch
from node.membership import chain_path, pool_path
from node.memory import keep_giving_back
from node.network.exchange import StreamExchange
from node.network.host import Host, open_host
from node.network.limits import NetworkLimits
from node.pool import Pool
from node.relays import Relays
from node.roles.audience import Audience
from node.roles.base import Node, join_gossip, report_status
from node.roles.doppelganger import Doppelganger
from node.roles.peer_records import PeerRecords
from node.roles.recorder import Recorder
from node.roles.signing import mend_signer, open_signer
from node.roles.standing import watch_standing
from node.roles.transferring import Transferring
from node.roles.watching import Watching
from node.room import Room
from node.scoring_worker import ScoringWorker, open_scoring_worker
from node.signer import Signer
from node.statements import Statements
from node.store import Store, StoreError, StoreLimits
from node.submissions import Submissions
from protocol.cards import ValidatorCard
from protocol.chain import HashChain
from protocol.epochs.agreement import AgreementMachine
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.messages import AboutEpoch, Body, EpochCertificate
from protocol.rounds import AttesterMachine, DealerMachine
from protocol.rounds import effects as fx
from protocol.rounds.attester import EXPIRY_SLOTS
from protocol.rounds.events import Deal, PeerGone, SlotBegan
from protocol.schedule import (
    ShardRound,
    chain_depth,
    dealer_of,
    is_scheduled,
    pool_indices,
    round_at,
    shard_round,
    slot_start_ms,
)
from protocol.statement import Statement

log = structlog.get_logger(__name__)


async def run_validator_node(node: Node, stop: trio.Event) -> None:
    """Run until `stop` is set."""
    genesis, settings, directory = node.genesis, node.settings, node.directory
    pool = Pool.load(pool_path(directory))
    chain = HashChain(load_chain_seed(chain_path(directory)), genesis.parameters.chain_length)
    async with AsyncExitStack() as stack:
        limits = StoreLimits(blobs_bytes_max=settings.blob_bytes_max)
        store = stack.enter_context(Store.open(directory.store, directory.blobs, limits=limits))
        epochs = await trio.to_thread.run_sync(open_epochs, genesis, store)
        lock = read_lock(directory.root / LOCK_FILE_NAME, genesis.network_id)
        room = Room(epochs, node.me, settings.connections_max)
        newest = store.last_certified()
        signer = stack.enter_context(await open_signer(node, None if newest is None else newest.round))
        worker = await stack.enter_async_context(
            open_scoring_worker(
                directory.blobs,
                device=settings.device,
                threads=settings.threads,
                slab_bytes_max=settings.score_bytes_max,
            )
        )
        # Before the port is open: a validator that others see can score.
        await worker.start()
        host = await stack.enter_async_context(
            open_host(
                node.key.seed,
                settings.listen,
                announce=settings.announce,
                limits=NetworkLimits(connections_max=settings.connections_max),
                admit=room,
                share=partial(share_now, epochs),
            )
        )
        room.connected = lambda: (peer.public_key for peer in host.peers())
        nursery = await stack.enter_async_context(trio.open_nursery())
        agreement = AgreementMachine(epochs, node.me, lock)
        api = ApiState(host.counters)
        validator = Validator(node, agreement, host, store, signer, worker, pool, chain, nursery, api)
        open_api(node, api, nursery)
        await validator.start()
        log.info("node.ready", role="validator", addresses=list(host.addresses))
        await stop.wait()
        nursery.cancel_scope.cancel()


class Validator:
    """One running validator."""

    def __init__(
        self,
        node: Node,
        agreement: AgreementMachine,
        host: Host,
        store: Store,
        signer: Signer,
        worker: ScoringWorker,
        pool: Pool,
        chain: HashChain,
        nursery: trio.Nursery,
        api: ApiState,
    ) -> None:
        self._node = node
        self._genesis = node.genesis
        self._host = host
        self._store = store
        self._signer = signer
        self._pool = pool
        self._chain = chain
        self._prepared = ValidatorCard(node.me, (), pool.root, pool.size, chain.tip)
        self._nursery = nursery
        self._api = api
        self._agreement = agreement
        self._epochs = epochs = agreement.epochs
        self._audience = Audience(host)
        self._next_round = 0  # which opens by itself
        self._recorder = recorder = Recorder(
            epochs, store, host.counters, node.directory.root / LOCK_FILE_NAME, api.publish
        )
        self._watching = Watching(epochs)
        self._learnt = LearntBlobs(epochs, store)
        self._desk = EpochDesk(epochs, store, self._learnt)
        exchange = StreamExchange(host, BlobCache(store.blobs), admit=partial(is_member_of_late, epochs))
        self._statements = Statements(epochs, signer, host.counters)
        self._doppelganger = Doppelganger(node, epochs, host, signer, self._statements)
        role = Role(
            keep=recorder.keep,
            publish=api.metrics.rounds.observed(self._publish),
            witness=self._witness,
            persist=recorder.persist,
            score=api.metrics.scoring.timed("score", worker.score),
            compare=api.metrics.scoring.timed("compare", worker.compare),
            gather=self._desk.gather,
            check=self._desk.check,
        )
        self._driver = Driver(host, exchange, self._statements, role, nursery, node.at_boundary)
        self._driver.on_unopened = self._open_late
        api.metrics.watch_node(self._driver, recorder, worker, store.blobs)
        self._submissions = Submissions(epochs, host, store)
        self._handing_over = HandingOver(self._submissions, lambda: self._next_round)
        kept = node.settings.retention_epochs
        complete = partial(self._learnt.complete, exchange)
        self._follower = EpochFollower(epochs, host, store, recorder.persist, complete, kept + 1)
        self._catch_up = CatchUp(epochs, host, exchange, store, recorder.keep, recorder.persist, kept)

    async def start(self) -> None:
        """Join the network and start the node's tasks."""
        start = self._nursery.start_soon
        PeerRecords(self._host, self._store).start()
        Relays(self._host, partial(is_encoder_of_late, self._epochs))
        start(keep_giving_back)
        start(self._recorder.run)
        start(self._driver.run)
        await join_gossip(self._node, self._host, self._driver, self._statements, self._nursery, votes=True)
        start(self._doppelganger.run)
        start(self._follower.run)
        start(self._catch_up.run)
        start(self._slots)
        start(self._handing_over.run)
        start(self._hand_over_submitted)
        start(mend_signer, self._node, self._signer, self._last_certified)
        start(watch_standing, self._epochs, self._node.me)
        start(Transferring(self._node, self._epochs, self._host, self._statements, self._say).run)
        start(
            report_status,
            self._node,
            self._epochs,
            self._host,
            "validator",
            None,
            self._last_certified,
            self._api,
            self._doppelganger.phase,
        )

    def _witness(self, statement: Statement[Body]) -> None:
        self._recorder.witness(statement)
        self._desk.witness(statement)
        if statement.signer != self._node.me and (step := self._watching.step(statement, now_ms())):
            self._recorder.watched(step)
        if isinstance(statement.body, EpochCertificate):
            self._follower.look()  # where it was not agreed on here

    def _publish(self, step: fx.Publish) -> None:
        self._recorder.publish(step)
        if step.step in (fx.Step.CERTIFIED, fx.Step.VOID):
            self._handing_over.wake()  # what was in the batch is done, or waits again

    def _say(self, statement: Statement[Body]) -> None:
        """Take note of a statement of one's own that belongs to no round, and gossip it."""
        self._witness(statement)
        self._driver.pass_on(statement)

    def _last_certified(self) -> int | None:
        record = self._store.last_certified()
        return None if record is None else record.round

    async def _hand_over_submitted(self) -> None:
        while True:
            await self._api.submitted()
            self._handing_over.wake()

    # -- slots ---------------------------------------------------------------------------------------------

    async def _slots(self) -> None:
        """Open every round when its slot begins, from the first one this key may vote in."""
        round_ = max(0, round_at(self._genesis, now_ms()) + 1)
        while True:
            self._next_round = round_
            await sleep_until_ms(slot_start_ms(self._genesis, round_))
            if round_ >= self._signer.first_round:
                for shard in range(self._genesis.parameters.shards_per_round):
                    self._open(shard_round(self._genesis, round_, shard))
            self._next_round = round_ + 1
            slot = shard_round(self._genesis, round_, 0)
            if round_ >= self._signer.first_round and is_scheduled(self._genesis, slot):
                await self._driver.tell(slot, SlotBegan(slot))
            self._driver.close_before(round_ - ROUNDS_KEPT - 1)
            self._handing_over.wake()
            self._nursery.start_soon(self._tidy, round_)
            round_ = max(round_ + 1, round_at(self._genesis, now_ms()))

    def _open(self, at: ShardRound) -> None:
        # A slot's first shard is also where the next epoch is agreed on.
        machines: list[Machine] = [self._agreement] if at.shard == 0 else []
        epoch = self._epochs.find(at.epoch)
        if epoch is None:
            log.warning(
                "round.not_opened",
                round=at.round,
                shard=at.shard,
                reason=f"the record of epoch {at.epoch} is missing",
            )
            self._driver.open(at, machines)
            return
        attester = AttesterMachine(epoch, at, self._node.me)
        if dealer_of(epoch, at) != self._node.me:
            self._driver.open(at, [attester, *machines], attester.start())
            return
        dealer = DealerMachine(epoch, at, self._node.me)
        self._driver.open(at, [dealer, attester, *machines], attester.start())
        self._nursery.start_soon(self._deal, at)

    def _open_late(self, statement: Statement[Body]) -> None:
        """What is said of the next epoch in a slot that began without this node counts all the same."""
        if isinstance(statement.body, AboutEpoch) and statement.body.at.round < self._next_round:
            self._driver.open(statement.body.at, [self._agreement])

    async def _tidy(self, round_: int) -> None:
        """Put back what was dealt in rounds that never ended here, and drop what is kept no longer."""
        try:
            await trio.to_thread.run_sync(self._store.requeue_before, round_ - EXPIRY_SLOTS)
            before_round = round_ - self._node.settings.retention_rounds
            learnt_before_round = self._learnt.kept_from(before_round)
            await trio.to_thread.run_sync(self._store.prune_rounds, before_round, learnt_before_round)
            before_epoch = self._epochs.newest.number - self._node.settings.retention_epochs
            length = self._genesis.parameters.epoch_rounds
            await trio.to_thread.run_sync(self._store.prune_epochs, before_epoch, length)
        except StoreError as error:
            log.warning("rounds.untidied", round=round_, reason=str(error))

    # -- dealing -------------------------------------------------------------------------------------------

    async def _deal(self, at: ShardRound) -> None:
        try:
            await self._deal_if_possible(at)
        except StoreError as error:
            log.warning("round.not_dealt", round=at.round, shard=at.shard, reason=str(error))

    async def _deal_if_possible(self, at: ShardRound) -> None:
        if at.round < self._signer.first_round:
            log.info(
                "round.not_dealt", round=at.round, shard=at.shard, reason="the signer may not vote in it yet"
            )
            return
        if not is_scheduled(self._genesis, at):
            log.error(
                "round.not_dealt",
                round=at.round,
                shard=at.shard,
                reason="the chain of mask secrets is spent: a new genesis is needed",
            )
            return
        epoch = self._epochs.of(at.epoch)
        indices = pool_indices(epoch, at)
        if not indices:
            log.error(
                "round.not_dealt",
                round=at.round,
                shard=at.shard,
                reason="the pool of challenge items is spent: a new genesis with more --data is needed",
            )
            return
        mismatch = card_mismatch(self._prepared, epoch.validators[self._node.me])
        if mismatch is not None:
            # Dealing would convict it of a wrong preimage.
            log.error("round.not_dealt", round=at.round, shard=at.shard, reason=mismatch)
            return
        if not await self._audience.gathers(epoch, at):
            log.info(
                "round.not_dealt",
                round=at.round,
                shard=at.shard,
                reason="too few validators or encoders are connected",
            )
            return
        scored = tuple(self._pool.item(index) for index in indices)
        pending = await trio.to_thread.run_sync(self._submissions.pending)
        scored_data = {one.data for one in scored}
        served = tuple(item for item in pending if item not in scored_data)
        preimage = self._chain.preimage(chain_depth(self._genesis, at))
        await self._driver.tell(at, Deal(preimage, scored, served))
        for key in self._audience.gone(epoch, at):
            await self._driver.tell(at, PeerGone(key))
