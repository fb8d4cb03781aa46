"""A whole network in one process and in virtual time: the real machines and rules, no sockets, no clock.

Latency and loss are drawn from a seed, signatures are real, scoring is a function that is passed in.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.chain import HashChain
from protocol.genesis import Genesis
from protocol.gossip_rules import Gossip, judge, known_slot
from protocol.hashing import content_digest
from protocol.merkle import MerkleTree
from protocol.messages import Body, Kind
from protocol.report import Deviation, PoolItem, ScoredShard, ScoreTask
from protocol.rounds import AttesterMachine, DealerMachine, EncoderMachine
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, chain_depth, slot_start_ms
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict
from tests.support.epochs import dealer_of, epoch_of, epochs_of, pool_indices

Blobs = dict[bytes, bytes]
Encode = Callable[[int, Sequence[str]], bytes]
Scorer = Callable[[ScoreTask, Blobs], ScoredShard]
Comparer = Callable[[ScoreTask, Blobs, ScoredShard], tuple[Deviation, ...]]


@dataclass
class Identity:
    """Secrets of one member."""

    seed: bytes
    key: bytes
    pool: list[bytes] = field(default_factory=list)
    chain: HashChain | None = None


@dataclass
class MemoryNode:
    """One member: its machines for the current shard-round, its blobs and what it wrote down."""

    identity: Identity
    machines: list[DealerMachine | AttesterMachine | EncoderMachine] = field(default_factory=list)
    blobs: Blobs = field(default_factory=dict)
    facts: list[fx.Fact] = field(default_factory=list)
    steps: list[fx.Publish] = field(default_factory=list)
    said: list[Statement[Body]] = field(default_factory=list)
    seen: dict[bytes, Statement[Body]] = field(default_factory=dict)
    slots: dict[tuple[object, ...], Statement[Body]] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    penalties: list[tuple[bytes, str]] = field(default_factory=list)
    alive: bool = True


class MemoryNetwork:
    """Runs shard-rounds of one genesis."""

    def __init__(
        self,
        genesis: Genesis,
        identities: Sequence[Identity],
        encode: dict[bytes, Encode],
        scorer: Scorer,
        comparer: Comparer,
        *,
        seed: int = 0,
        encode_ms: dict[bytes, int] | None = None,
        tamper: Callable[[bytes, bytes], bytes] | None = None,
    ) -> None:
        self.genesis = genesis
        self.nodes = {identity.key: MemoryNode(identity) for identity in identities}
        self.encode = encode
        self.scorer = scorer
        self.comparer = comparer
        self.encode_ms = encode_ms or {}
        self.tamper = tamper  # (who provides, data) -> what it stores instead
        self.now_ms = 0
        self._random = random.Random(seed)
        self._queue: list[tuple[int, int, bytes, ev.Event]] = []
        self._count = 0

    def run(self, at: ShardRound) -> None:
        """One shard-round from its slot's start until nothing more happens."""
        self.now_ms = max(self.now_ms, slot_start_ms(self.genesis, at.round))
        dealer = dealer_of(self.genesis, at)
        for key, node in self.nodes.items():
            node.machines = []
            if key in self.genesis.validators:
                attester = AttesterMachine(epoch_of(self.genesis, at), at, key)
                node.machines.append(attester)
                self._carry_out(node, attester.start())
                if key == dealer:
                    node.machines.append(DealerMachine(epoch_of(self.genesis, at), at, key))
            else:
                node.machines.append(EncoderMachine(epoch_of(self.genesis, at), at, key, node.identity.seed))
        if self.nodes[dealer].alive:
            self._later(dealer, self.deal(at, dealer), 0)
        while self._queue:
            self.now_ms, _, key, event = heapq.heappop(self._queue)
            node = self.nodes[key]
            if not node.alive:
                continue
            for machine in node.machines:
                self._carry_out(node, machine.handle(event, self.now_ms))

    def deal(self, at: ShardRound, dealer: bytes) -> ev.Deal:
        """The command an honest dealer's node gives its machine."""
        identity = self.nodes[dealer].identity
        assert identity.chain is not None
        tree = MerkleTree(identity.pool)
        indices = pool_indices(self.genesis, at)
        scored = tuple(PoolItem(i, identity.pool[i], tuple(tree.proof(i))) for i in indices)
        return ev.Deal(identity.chain.preimage(chain_depth(self.genesis, at)), scored, ())

    def deliver(self, statement: Statement[Body], to: bytes) -> None:
        """Put a statement on its way to one node, through the gossip rules on arrival."""
        node = self.nodes[to]
        judgement = judge(
            statement.data,
            Gossip(
                epochs_of(self.genesis),
                self.now_ms,
                node.seen.__contains__,
                lambda slot: node.slots.get(slot),
            ),
        )
        if judgement.verdict is not Verdict.ACCEPT or judgement.statement is None:
            node.rejected.append(judgement.reason)
            return
        node.seen[statement.digest] = statement
        slot = known_slot(statement, self.genesis.network_id)
        if slot is not None:
            node.slots.setdefault(slot, statement)
        self._later(to, ev.Received(judgement.statement), self._random.randint(1, 40))

    def _later(self, key: bytes, event: ev.Event, delay_ms: int) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._count, key, event))

    def _sign(self, node: MemoryNode, body: Body) -> Statement[Body]:
        key = node.identity.key
        name = statement_digest(self.genesis.network_id, key, body)
        statement = assemble(self.genesis.network_id, key, body, sign(node.identity.seed, name))
        node.said.append(statement)
        return statement

    def _carry_out(self, node: MemoryNode, effects: Sequence[fx.Effect]) -> None:
        key = node.identity.key
        for effect in effects:
            match effect:
                case fx.Broadcast(body, _):
                    statement = self._sign(node, body)
                    self._later(key, ev.Received(statement), 0)
                    encoders_too = statement.kind in (
                        Kind.CHALLENGE,
                        Kind.LOCK,
                        Kind.CERTIFICATE,
                        Kind.EVIDENCE,
                    )
                    for other in self.nodes:
                        if other != key and (encoders_too or other in self.genesis.validators):
                            self.deliver(statement, other)
                case fx.Send(body, to):
                    statement = self._sign(node, body)
                    for other in to:
                        self.deliver(statement, other)
                case fx.Provide(data, _):
                    name = content_digest(data)
                    node.blobs[name] = self.tamper(key, data) if self.tamper else data
                case fx.Fetch(name, size_bytes, sources, _):
                    self._fetch(key, name, size_bytes, sources)
                case fx.SetTimer(timer, at_ms):
                    self._later(key, ev.TimerFired(timer), max(0, at_ms - self.now_ms))
                case fx.Encode(wave, views):
                    answers = self.encode[key](wave, [view.decode() for view in views])
                    self._later(key, ev.Encoded(wave, answers), self.encode_ms.get(key, 5))
                case fx.Score(task):
                    self._later(key, ev.Scored(self.scorer(task, node.blobs)), 20)
                case fx.Recompute(task, claimed):
                    self._later(key, ev.Recomputed(self.comparer(task, node.blobs, claimed)), 20)
                case fx.Penalise(who, reason):
                    node.penalties.append((who, reason))
                case fx.Persist(fact):
                    node.facts.append(fact)
                case fx.Publish():
                    node.steps.append(effect)

    def _fetch(self, key: bytes, name: bytes, size_bytes: int, sources: Sequence[bytes]) -> None:
        for source in (key, *sources):
            data = self.nodes[source].blobs.get(name) if self.nodes[source].alive else None
            if data is not None and len(data) == size_bytes and content_digest(data) == name:
                self.nodes[key].blobs[name] = data
                self._later(key, ev.Fetched(name, data), self._random.randint(1, 60))
                return
        self._later(key, ev.Unavailable(name, tuple(sources)), 10)
