"""What every role has: identity, host, driver, gossip, addresses, a status file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from config.datadir import DataDir
from config.settings import Settings
from node.address_book import AddressBook
from node.api.running import ApiState
from node.clock import now_ms
from node.clock_telling import ANSWER_BYTES, tell_clock
from node.clock_telling import METHOD as CLOCK_METHOD
from node.dial_back import ANSWER_BYTES as REACHED_BYTES
from node.dial_back import METHOD as DIAL_BACK_METHOD
from node.dial_back import QUESTION_BYTES, DialBack
from node.driver import STATEMENT_METHOD, Driver
from node.epochs.admission import is_validator_of_late
from node.keys import NodeKey
from node.network.host import Host, PeerConnected, PeerEvent
from node.roles.banning import Banning
from node.roles.standing import standing_of
from node.statements import Handed, Statements
from node.status import STATUS_FILE_NAME, NodeStatus, PeerStatus, StatusError, write_status
from node.store import StoreError
from node.version import software_version
from protocol.epochs.known import Epochs
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.messages import Commit, Exit, Registration
from protocol.schedule import round_at
from protocol.statement import ENVELOPE_BYTES_MAX
from protocol.verdict import Verdict

REJECT_COST = 10.0
STATUS_EVERY_S = 1.0

log = structlog.get_logger(__name__)

Boundary = Callable[[str], None]


@dataclass(frozen=True)
class Node:
    """What a role is made from, loaded and checked."""

    settings: Settings
    directory: DataDir
    genesis: Genesis
    key: NodeKey
    at_boundary: Boundary

    @property
    def me(self) -> bytes:
        """Own public key."""
        return self.key.public_key


async def join_gossip(
    node: Node, host: Host, driver: Driver, statements: Statements, nursery: trio.Nursery, *, votes: bool
) -> AddressBook:
    """Subscribe to the network's topics and answer statements handed over streams; who knows addresses."""
    banning = Banning(node.directory, host)
    banning.start()
    nursery.start_soon(banning.run)
    topics = Topic(node.genesis.network_id)
    handed = Handed()
    host.prefer(partial(is_validator_of_late, statements.epochs), host.limits.degree if votes else 0)

    def check(topic: str, data: bytes, forwarder: bytes) -> Verdict:
        judgement = statements.receive(data, topic)
        if judgement.verdict is Verdict.IGNORE and handed.take(data):
            return Verdict.ACCEPT  # known here, and others wait for it all the same
        if judgement.verdict is Verdict.REJECT:
            log.info("gossip.rejected", peer=forwarder.hex()[:8], reason=judgement.reason)
        return judgement.verdict

    async def accept(peer: bytes, payload: bytes) -> bytes:
        judgement = statements.receive(payload)
        if judgement.verdict is Verdict.REJECT:
            host.penalise(peer, REJECT_COST, judgement.reason)
        statement = judgement.statement if judgement.verdict is Verdict.ACCEPT else None
        if statement is not None and isinstance(statement.body, Commit | Registration | Exit):
            # The witnesses of a commit make it known, so that its dealer cannot lose it; who registers or
            # leaves may not gossip among validators.
            driver.pass_on(statement)
        elif statement is not None:
            handed.add(payload)
        return judgement.verdict.value.encode()

    for topic in (topics.rounds, topics.votes) if votes else (topics.rounds,):
        channel = await host.subscribe(topic, partial(check, topic))
        nursery.start_soon(_drain, channel)
    host.handle(STATEMENT_METHOD, accept, request_bytes_max=ENVELOPE_BYTES_MAX, response_bytes_max=64)
    host.handle(CLOCK_METHOD, tell_clock, request_bytes_max=0, response_bytes_max=ANSWER_BYTES)
    dial_back = DialBack(host)
    host.handle(
        DIAL_BACK_METHOD, dial_back.answer, request_bytes_max=QUESTION_BYTES, response_bytes_max=REACHED_BYTES
    )

    def on_peer(event: PeerEvent) -> None:
        name = "peer.connected" if isinstance(event, PeerConnected) else "peer.gone"
        log.info(name, peer=event.public_key.hex()[:8])
        if not isinstance(event, PeerConnected):
            driver.peer_gone(event.public_key)

    host.on_peer(on_peer)
    host.on_misbehaviour(
        lambda key, reason, cost: log.warning("peer.penalised", peer=key.hex()[:8], reason=reason, cost=cost)
    )
    book = AddressBook(statements.epochs, host, node.settings.bootstrap)
    nursery.start_soon(book.run)
    return book


async def _drain(channel: trio.MemoryReceiveChannel[tuple[bytes, bytes]]) -> None:
    # Statements are handed on by the check itself, with their signature verified once.
    async for _ in channel:
        pass


async def report_status(
    node: Node,
    epochs: Epochs,
    host: Host,
    role: str,
    model: str | None,
    last_certified: Callable[[], int | None],
    api: ApiState | None = None,
    phase_of: Callable[[str], str] = str,
) -> None:
    """Rewrite the status file every second, and tell the API."""
    path = node.directory.root / STATUS_FILE_NAME
    started_ms = now_ms()
    version = software_version()
    while True:
        clock_ms, monotonic_ms = now_ms(), int(trio.current_time() * 1000)
        peers = tuple(
            PeerStatus(
                public_key=peer.public_key.hex(),
                role=_role_of(epochs, peer.public_key),
                address=peer.address,
                outbound=peer.outbound,
                since_ms=clock_ms - (monotonic_ms - peer.since_ms),
                penalty=host.penalty(peer.public_key),
                round_trip_ms=peer.round_trip_ms,
            )
            for peer in host.peers()
        )
        try:
            newest = await trio.to_thread.run_sync(last_certified)
        except StoreError as error:
            log.warning("status.incomplete", reason=str(error))
            newest = None
        status = NodeStatus(
            role=role,
            public_key=node.me.hex(),
            network_id=node.genesis.network_id.hex(),
            pid=os.getpid(),
            version=version,
            started_ms=started_ms,
            updated_ms=clock_ms,
            addresses=host.addresses,
            peers=peers,
            round=round_at(node.genesis, clock_ms),
            last_certified_round=newest,
            phase=phase_of("running" if role == "encoder" else standing_of(epochs.newest, node.me).value),
            model=model,
            counters=dict(host.counters),
            api=None if api is None else api.address,
            modality=node.genesis.modality.name,
        )
        if api is not None:
            api.tell(status)
        try:
            await trio.to_thread.run_sync(write_status, path, status)
        except StatusError as error:
            # A full disk must not stop the node.
            log.warning("status.unwritten", reason=str(error))
        await trio.sleep(STATUS_EVERY_S)


def remove_status(directory: DataDir) -> None:
    """A node that stopped has no status."""
    Path(directory.root / STATUS_FILE_NAME).unlink(missing_ok=True)


def _role_of(epochs: Epochs, key: bytes) -> str:
    if is_validator_of_late(epochs, key):
        return "validator"
    return "encoder" if key in epochs.newest.encoders or key in epochs.genesis.encoders else "guest"
