"""Four validators that agree on records, in a world that loses, doubles and delays what they say.

Statements are judged by the gossip rules, in the time of the slot that each node is in. One validator may lie
and sign what it likes. What honest ones say is checked as they say it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from random import Random

import msgspec

from protocol.codec import encode
from protocol.epochs.agreed import votes_of
from protocol.epochs.agreement import AgreementMachine, agreement_begins
from protocol.epochs.checking import InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.known import Epochs
from protocol.epochs.record import NOTHING
from protocol.epochs.registration import find_work
from protocol.epochs.view import Epoch
from protocol.evidence import vote_slot
from protocol.genesis import Genesis, GenesisContent
from protocol.hashing import content_digest, digest
from protocol.hearing import Hearing
from protocol.messages import Body, EpochCertificate, Precommit, Prevote, Proposal, Registration
from protocol.quorum import has_quorum
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, proposer_of, shard_round, slot_start_ms
from protocol.signatures import public_key, sign
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict
from tests.support.genesis import small_network

STAKES = (33, 30, 20, 17)
"""The largest alone holds less than a third, and without it all others are needed."""
NEWCOMERS = 6


@cache
def agreeing_genesis() -> tuple[Genesis, dict[bytes, bytes]]:
    """A network of four unequal validators, and the seed of each by its key."""
    genesis, validators, _ = small_network(4, 4, items=8, shard_size=4, epoch_rounds=16)
    content: GenesisContent = genesis.content
    members = tuple(
        msgspec.structs.replace(member, stake=stake)
        for member, stake in zip(content.validators, STAKES, strict=True)
    )
    seeds = {person.key: person.seed for person in validators}
    return Genesis(msgspec.structs.replace(content, validators=members)), seeds


@cache
def newcomer(number: int) -> Statement[Registration]:
    """Registrations: who has heard of another set of them proposes another record."""
    genesis, _ = agreeing_genesis()
    seed = digest("newcomer", number.to_bytes(4, "big"))
    key = public_key(seed)
    work = find_work(genesis.network_id, key, 0, genesis.parameters.registration_work_bits, 0, 1 << 16)
    assert work is not None
    body = Registration(shard_round(genesis, 0, 0), f"model {number}", (), work)
    return assemble(
        genesis.network_id, key, body, sign(seed, statement_digest(genesis.network_id, key, body))
    )


@cache
def _follows(first: Epoch, data: bytes) -> Epoch | str:
    epochs = Epochs(first.genesis)
    epochs.resume(first)
    try:
        return check_inputs(epochs, data, [])
    except InputsError as error:
        return str(error)


@cache
def _first(genesis: Genesis) -> Epoch:
    return Epoch.first(genesis)


@cache
def signed_by(key: bytes, body: Body) -> Statement[Body]:
    """A statement of one of the four."""
    genesis, seeds = agreeing_genesis()
    name = statement_digest(genesis.network_id, key, body)
    return assemble(genesis.network_id, key, body, sign(seeds[key], name))


@dataclass
class Node:
    """One honest validator's process, and its disk."""

    key: bytes
    machine: AgreementMachine
    hearing: Hearing
    slot: int
    lock: fx.EpochLocked | None = None
    """On disk."""
    signed: dict[object, bytes] = field(default_factory=dict)
    """On disk: the signer's."""
    heard: set[int] = field(default_factory=set)
    """Newcomers it has heard of."""
    blobs: set[bytes] = field(default_factory=set)
    """On disk."""
    tasks: list[fx.Fetch | fx.CheckInputs | fx.GatherInputs] = field(default_factory=list)
    decided: EpochCertificate | None = None


class Agreeing:
    """The record of epoch 1, from slot to slot. AssertionError as soon as a promise is broken."""

    machine_class: type[AgreementMachine] = AgreementMachine
    forgets_lock = False
    """A canary: what Persist says is not written down."""

    def __init__(self, liar: int | None = None) -> None:
        self.genesis, _ = agreeing_genesis()
        self.keys = list(self.genesis.validators)
        self.liar = None if liar is None else self.keys[liar]
        self.post: list[tuple[bytes, Statement[Body]]] = []
        self.delivered: list[tuple[bytes, Statement[Body]]] = []
        self.blobs: dict[bytes, bytes] = {}
        self.said: dict[bytes, Statement[Body]] = {}
        self.precommits: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
        start = agreement_begins(Epochs(self.genesis), 1) - 1
        self.nodes = {key: self._node(key, start) for key in self.keys if key != self.liar}
        for index, node in enumerate(self.nodes.values()):
            node.heard = {index}

    def _node(self, key: bytes, slot: int) -> Node:
        epochs = self._epochs()
        return Node(key, self.machine_class(epochs, key), Hearing(epochs), slot)

    def _epochs(self) -> Epochs:
        epochs = Epochs(self.genesis)
        epochs.resume(_first(self.genesis))
        return epochs

    @property
    def slot(self) -> int:
        """The latest slot anybody is in."""
        return max(node.slot for node in self.nodes.values())

    def proposer(self, slot: int) -> bytes:
        return proposer_of(_first(self.genesis), slot)

    def at(self, slot: int) -> ShardRound:
        return shard_round(self.genesis, slot, 0)

    # -- what happens --------------------------------------------------------------------------------------

    def begin(self, key: bytes, slot: int) -> None:
        """A later slot begins at a node."""
        node = self.nodes[key]
        assert slot > node.slot
        node.slot = slot
        node.tasks = []
        self._tell(node, ev.SlotBegan(self.at(slot)))

    def deliver(self, to: bytes, statement: Statement[Body]) -> None:
        """Let a node judge what arrives."""
        self.delivered = [*self.delivered[-40:], (to, statement)]
        node = self.nodes.get(to)
        if node is None:
            return
        now_ms = slot_start_ms(self.genesis, node.slot) + self.genesis.parameters.slot_ms - 1
        heard = node.hearing.hear(statement.data, now_ms)
        if heard.judgement.verdict is Verdict.ACCEPT:
            assert heard.judgement.statement is not None
            self._tell(node, ev.Received(heard.judgement.statement))
        if heard.evidence is not None:
            assert statement.signer == self.liar, "evidence against an honest validator"

    def finish(self, key: bytes, place: int, *, fails: bool = False) -> None:
        """A task of a node ends."""
        node = self.nodes[key]
        task = node.tasks.pop(place)
        match task:
            case fx.Fetch(name, _, sources, _):
                held = name in node.blobs or any(
                    name in self.nodes[one].blobs if one in self.nodes else name in self.blobs
                    for one in sources
                )
                if fails or not held:
                    self._tell(node, ev.Unavailable(name, sources))
                else:
                    node.blobs.add(name)
                    self._tell(node, ev.Fetched(name, self.blobs[name]))
            case fx.GatherInputs(epoch) if node.machine.epochs.newest.number + 1 == epoch and not fails:
                known = Known((), [newcomer(number) for number in sorted(node.heard)])
                inputs, follows = gather_inputs(node.machine.epochs, known)
                self._tell(node, ev.InputsGathered(encode(inputs), follows))
            case fx.CheckInputs(epoch, data) if node.machine.epochs.newest.number + 1 == epoch and not fails:
                found = _follows(node.machine.epochs.newest, data)
                name = content_digest(data)
                refused = isinstance(found, str)
                self._tell(node, ev.InputsRefused(name, found) if refused else ev.InputsChecked(name, found))

    def restart(self, key: bytes) -> None:
        """A process ends, and another begins with what is on the disk; it votes from the next slot on."""
        node = self.nodes[key]
        epochs = self._epochs()
        if node.decided is not None:
            epochs.add(node.machine.epochs.newest)
        node.hearing = Hearing(epochs)
        node.machine = self.machine_class(epochs, key, node.lock)
        node.tasks = []
        node.heard = set()

    # -- progress ------------------------------------------------------------------------------------------

    def run_slot(self, seed: int, arrives: float, *, late: float = 0.0, ends: float = 1.0) -> None:
        """The next slot begins at all but about `late` of the nodes; what is said arrives with probability
        `arrives`, the votes that end a slot with `ends` of it, in an order that the seed draws.
        """
        draw = Random(seed)
        slot = self.slot + 1
        order = list(self.nodes)
        draw.shuffle(order)
        for key in order:
            if draw.random() >= late:
                self.begin(key, slot)
            if draw.random() < 0.5:
                self.settle(draw, arrives, ends)
        for _ in range(2 if self.liar is not None else 0):
            self.lie(draw)  # the second time it votes for what it has proposed
            self.settle(draw, arrives, ends)
        self.settle(draw, arrives, ends)

    def settle(self, draw: Random, arrives: float, ends: float = 1.0) -> None:
        """Everything under way comes to an end."""
        while True:
            tasks = [(key, place) for key, node in self.nodes.items() for place in range(len(node.tasks))]
            choices = len(self.post) + len(tasks)
            if not choices:
                return
            choice = draw.randrange(choices)
            if choice >= len(self.post):
                key, place = tasks[choice - len(self.post)]
                self.finish(key, place, fails=draw.random() >= arrives)
                continue
            to, statement = self.post.pop(choice)
            is_end = isinstance(statement.body, Precommit | EpochCertificate)
            if draw.random() < (arrives * ends if is_end else arrives):
                self.deliver(to, statement)
                if draw.random() < 0.05:
                    self.post.append((to, statement))

    def lie(self, draw: Random) -> None:
        """The liar votes for everything, to some here and others there, and proposes two things at once."""
        assert self.liar is not None
        slot = self.slot
        at = self.at(slot)
        bodies: list[Body] = []
        bodies += self._false_proposals(at, draw)
        told = [one.body for one in self.said.values() if _is_about_epoch(one.body)]
        names = {one.record: (one.inputs, one.inputs_bytes) for one in told if isinstance(one, Proposal)}
        for record in sorted({one.record for one in told}):
            inputs = names.get(record, (NOTHING, 0)) if draw.random() < 0.8 else (digest("elsewhere"), 1)
            bodies += [Prevote(at, 1, record, *inputs), Precommit(at, 1, record)]
        for body in bodies:
            self.say(self.liar, body, draw.sample(list(self.nodes), draw.randint(1, len(self.nodes))))

    def _false_proposals(self, at: ShardRound, draw: Random) -> list[Body]:
        bodies: list[Body] = []
        for _ in range(2 if self.proposer(at.round) == self.liar else 0):
            numbers = draw.sample(range(NEWCOMERS), 2)
            inputs, epoch = gather_inputs(self._epochs(), Known((), [newcomer(n) for n in numbers]))
            data = encode(inputs)
            self.blobs[content_digest(data)] = data
            bodies.append(Proposal(at, 1, content_digest(data), len(data), epoch.digest, 0, ()))
        for said, votes in self._prevotes().items():
            if said.at.round >= at.round:
                continue
            seen = votes_of(votes.values())
            if has_quorum(sum(self.genesis.validators[one.validator].stake for one in seen), sum(STAKES)):
                # Who is not the proposer may show it too; under another name it shows nothing.
                name = said.inputs if draw.random() < 0.8 else digest("elsewhere")
                bodies.append(Proposal(at, 1, name, said.inputs_bytes, said.record, said.at.round, seen))
        draw.shuffle(bodies)
        return bodies

    def _prevotes(self) -> dict[Prevote, dict[bytes, Statement[Prevote]]]:
        """All that were ever said, and the liar's own to each of them."""
        assert self.liar is not None
        votes: dict[Prevote, dict[bytes, Statement[Prevote]]] = defaultdict(dict)
        for one in list(self.said.values()):
            if isinstance(one.body, Prevote):
                votes[one.body][one.signer] = one  # type: ignore[assignment]
                votes[one.body][self.liar] = signed_by(self.liar, one.body)  # type: ignore[assignment]
        return votes

    def say(self, key: bytes, body: Body, to: list[bytes]) -> None:
        """Sign and send."""
        statement = signed_by(key, body)
        self.said[statement.digest] = statement
        self.post += [(one, statement) for one in to if one != key]

    # -- a node --------------------------------------------------------------------------------------------

    def _tell(self, node: Node, event: ev.Event) -> None:
        effects = node.machine.handle(event, 0)
        own: list[ev.Event] = []
        for effect in effects:
            match effect:
                case fx.Persist(fx.EpochLocked() as lock):
                    if not self.forgets_lock:
                        node.lock = lock
                case fx.Persist(fx.EpochDecided(epoch, certificate)) if epoch.number == 1:
                    node.decided = certificate
                    node.machine.epochs.add(epoch)
                case fx.Broadcast(body):
                    own.append(ev.Received(self._honest(node, body)))
                case fx.Provide(data):
                    self.blobs[content_digest(data)] = data
                    node.blobs.add(content_digest(data))
                case fx.Fetch() | fx.CheckInputs() | fx.GatherInputs():
                    node.tasks.append(effect)
        for event_ in own:
            self._tell(node, event_)

    def _honest(self, node: Node, body: Body) -> Statement[Body]:
        statement = signed_by(node.key, body)
        slot = vote_slot(statement)
        if slot is not None:
            assert node.signed.setdefault(slot, statement.digest) == statement.digest, "an honest double vote"
        node.hearing.remember(statement)
        self.say(node.key, body, list(self.nodes))
        # Who has decided goes on with the record of epoch 2, which is not watched here.
        if isinstance(body, Precommit) and body.epoch == 1:
            self.precommits[(body.at.round, body.record)].add(node.key)
            self.check_one_record()
        return statement

    # -- what must hold ------------------------------------------------------------------------------------

    def certifiable(self) -> set[bytes]:
        """Records that have precommits enough for a certificate, the liar's counted in."""
        total = sum(STAKES)
        found = set()
        for (_, record), keys in self.precommits.items():
            signers = keys | ({self.liar} if self.liar is not None else set())
            if has_quorum(sum(self.genesis.validators[key].stake for key in signers), total):
                found.add(record)
        return found

    def check_one_record(self) -> None:
        decided = {node.decided.record for node in self.nodes.values() if node.decided is not None}
        assert len(self.certifiable() | decided) <= 1, "two records of one epoch can be certified"

    def check_bounds(self) -> None:
        for node in self.nodes.values():
            machine = node.machine
            assert len(machine._derived) <= 8
            for votes in (machine._prevotes, machine._precommits):
                assert len(votes) <= 6 * len(self.keys)


def _is_about_epoch(body: Body) -> bool:
    return isinstance(body, Proposal | Prevote | Precommit) and body.record != NOTHING


def troubled(seed: int, world_class: type[Agreeing] = Agreeing, slots: int = 6) -> Agreeing:
    """Slots of losses, restarts and a liar, drawn from the seed."""
    draw = Random(seed)
    world = world_class(draw.choice([0, 0, 1, 2, 3]))
    for _ in range(slots):
        for node in world.nodes.values():
            if draw.random() < 0.3:
                world.restart(node.key)
            node.heard = {draw.randrange(NEWCOMERS)}
        world.run_slot(
            draw.randrange(2**16),
            draw.choice([0.5, 0.7, 0.9, 1.0]),
            late=draw.choice([0, 0, 0.3]),
            ends=draw.choice([0, 0, 0.3]),
        )
    world.check_one_record()
    return world
