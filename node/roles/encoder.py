"""The encoder: answers the waves of the rounds it is drawn for. It dials out, and relays if it listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
import trio

from node.blob_cache import BlobCache
from node.driver import Driver, Role
from node.encoders.strategy import AnswerStrategy
from node.epochs.admission import is_encoder_of_late, is_member_of_late
from node.epochs.follow import EpochFollower
from node.epochs.peer_share import share_now
from node.links import Links
from node.memory import keep_giving_back
from node.metrics.encoder import EncoderMetrics
from node.metrics.http import open_metrics
from node.network.exchange import StreamExchange
from node.network.host import Host, open_host
from node.network.limits import NetworkLimits
from node.pairs import Pairs
from node.relays import Relays
from node.roles.answering import WAVES_WAITING_MAX, Answering
from node.roles.base import Node, join_gossip, report_status
from node.roles.doppelganger import Doppelganger
from node.roles.gathering import Gathering, open_pairs
from node.roles.learning import Learning, LearnStep
from node.roles.published import offer_best_reveal
from node.roles.refitting import Refitting, Step
from node.roles.registering import Registering
from node.roles.signing import mend_signer, open_signer
from node.room import Room
from node.signer import Signer
from node.statements import Statements
from protocol.epochs.known import Epochs
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.hashing import digest
from protocol.messages import Body, Certificate, Challenge, EpochCertificate
from protocol.rounds import EncoderMachine
from protocol.rounds import effects as fx
from protocol.schedule import shard_of
from protocol.statement import Statement

log = structlog.get_logger(__name__)

LoadStrategy = Callable[[], AnswerStrategy]


async def run_encoder_node(
    node: Node,
    load: LoadStrategy,
    stop: trio.Event,
    refit: Step | None = None,
    learn: LearnStep | None = None,
) -> None:
    """Run until `stop` is set.

    `refit` fits the model's map anew when an epoch begins, `learn` changes its weights between rounds; None
    leaves them.
    """
    log.info("model.loading", model=node.settings.model)
    # A model that loads for minutes must not hold up the end of the node.
    strategy = await trio.to_thread.run_sync(load, abandon_on_cancel=True)  # type: ignore[call-arg]
    async with AsyncExitStack() as stack:
        signer = stack.enter_context(await open_signer(node))
        epochs = Epochs(node.genesis)
        room = Room(epochs, node.me, node.settings.connections_max)
        host = await stack.enter_async_context(
            open_host(
                node.key.seed,
                # It only dials out, and answers over the connections it opened, unless told to listen.
                node.settings.listen if node.settings.is_given("listen") else (),
                announce=node.settings.announce,
                limits=NetworkLimits(connections_max=node.settings.connections_max),
                admit=room,
                share=partial(share_now, epochs),
            )
        )
        room.connected = lambda: (peer.public_key for peer in host.peers())
        pairs = open_pairs(node.directory.root)
        if pairs is not None:
            stack.enter_context(pairs)
        nursery = await stack.enter_async_context(trio.open_nursery())
        encoder = EncoderNode(node, epochs, host, signer, strategy, nursery, pairs, refit, learn)
        stack.enter_context(open_metrics(encoder.metrics, node.settings.metrics))
        await encoder.start()
        log.info("node.ready", role="encoder", model=node.settings.model)
        await stop.wait()
        nursery.cancel_scope.cancel()


class EncoderNode:
    """One running encoder."""

    def __init__(
        self,
        node: Node,
        epochs: Epochs,
        host: Host,
        signer: Signer,
        strategy: AnswerStrategy,
        nursery: trio.Nursery,
        pairs: Pairs | None,
        refit: Step | None,
        learn: LearnStep | None,
    ) -> None:
        self._node = node
        self._epochs = epochs
        self._genesis = node.genesis
        self._host = host
        self._signer = signer
        self._strategy = strategy
        self._nursery = nursery
        self._salt_seed = digest("salt-seed", node.key.seed)
        self._answering = Answering(strategy, node.genesis.parameters.wave_deadline_ms, node.genesis.modality)
        self._last_certified: int | None = None
        self.metrics = metrics = EncoderMetrics(epochs, node.me, node.directory.root)
        self._answering.on_unanswered = metrics.unanswered
        metrics.queues.watch("waves", self._answering.waiting, WAVES_WAITING_MAX)
        self._exchange = StreamExchange(host, BlobCache(None), admit=partial(is_member_of_late, epochs))
        self._statements = Statements(epochs, signer, host.counters)
        self._doppelganger = Doppelganger(node, epochs, host, signer, self._statements)
        role = Role(
            keep=self._keep,
            publish=self._publish,
            witness=self._witness,
            encode=metrics.timed(self._answering.answer),
        )
        self._driver = Driver(host, self._exchange, self._statements, role, nursery, node.at_boundary)
        self._driver.on_unopened = self._open
        self._follower = EpochFollower(epochs, host, None, self._decided)
        self._gathering: Gathering | None = None
        if pairs is not None:
            self._gathering = Gathering(pairs, epochs, host, self._exchange, metrics.report)
        self._refitting: Refitting | None = None
        if pairs is not None and refit is not None:
            parameters = node.genesis.parameters
            epoch_s = parameters.epoch_rounds * parameters.slot_ms / 1000
            self._refitting = Refitting(node.directory.root, pairs, refit, epoch_s)
        self._learning: Learning | None = None
        if pairs is not None and learn is not None:
            slot_s = node.genesis.parameters.slot_ms / 1000
            self._learning = Learning(node.directory.root, pairs, learn, slot_s)
        self._registering = Registering(node, epochs, host, self._statements)

    async def start(self) -> None:
        """Join the network and start the node's tasks."""
        start = self._nursery.start_soon
        start(keep_giving_back)
        start(self._driver.run)
        start(self._doppelganger.run)
        start(self._follower.run)
        start(self._registering.run)
        for task in (self._gathering, self._refitting, self._learning):
            if task is not None:
                start(task.run)
        book = await join_gossip(
            self._node, self._host, self._driver, self._statements, self._nursery, votes=False
        )
        node, settings = self._node, self._node.settings
        links = Links(self._epochs, self._host, book, settings.standing_validators)
        start(links.run)
        is_encoder = partial(is_encoder_of_late, self._epochs)
        start(Relays(self._host, is_encoder, settings.relay_peers, lambda: links.standing).run)
        model = settings.model
        start(mend_signer, node, self._signer, lambda: self._last_certified)
        start(
            report_status,
            node,
            self._epochs,
            self._host,
            "encoder",
            model,
            lambda: self._last_certified,
            None,
            lambda _: self._doppelganger.phase(self._registering.phase),
        )

    def _witness(self, statement: Statement[Body]) -> None:
        body = statement.body
        if isinstance(body, EpochCertificate):
            self._follower.look()
        if not isinstance(body, Certificate):
            return
        self._last_certified = max(body.at.round, self._last_certified or 0)
        if self._gathering is not None:
            self._gathering.hear(body.at)
        if self._strategy.wants_published:
            offer = self._strategy.offer
            self._nursery.start_soon(
                offer_best_reveal,
                self._epochs.of(body.at.epoch),
                self._host,
                self._exchange,
                body.at,
                offer,
            )

    def _open(self, statement: Statement[Body]) -> None:
        """Open the round of a challenge that asks this encoder."""
        if not isinstance(statement.body, Challenge):
            return
        at = statement.body.at
        epoch = self._epochs.of(at.epoch)
        if at.round < self._signer.first_round or self._node.me not in shard_of(epoch, at):
            return
        machine = EncoderMachine(epoch, at, self._node.me, self._salt_seed)
        self._driver.open(at, [machine])
        self._driver.close_before(at.round - ROUNDS_KEPT)
        self._answering.forget_before(at.round - ROUNDS_KEPT)

    async def _decided(self, fact: fx.EpochDecided) -> None:
        before = self._epochs.newest
        self._epochs.add(fact.epoch)
        if self._refitting is not None:
            self._refitting.begin(fact.epoch.number)
        mine = fact.epoch.encoders.get(self._node.me)
        if mine is None and self._node.me in before.encoders:
            log.info("epoch.left", epoch=fact.epoch.number)
        log.info(
            "epoch.begins",
            epoch=fact.epoch.number,
            encoders=len(fact.epoch.encoders),
            stake=0 if mine is None else mine.stake,
            reputation_ppm=0 if mine is None else mine.reputation_ppm,
        )

    async def _keep(self, data: bytes, round_: int, purpose: fx.Purpose) -> None:
        """The cache in memory is all an encoder keeps."""

    def _publish(self, step: fx.Publish) -> None:
        self.metrics.step(step)
        log.info(
            f"round.{step.step.value}",
            round=step.at.round,
            shard=step.at.shard,
            wave=step.wave,
            detail=step.detail,
        )
