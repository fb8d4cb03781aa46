"""The validator's life: rounds open with their slots, a dealer deals, facts go to the disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from node.sim.epochs import FOLLOW_EVERY_MS, certified_in, lock_on
from node.sim.giving import Gift
from node.sim.node import SimNode
from node.sim.process import Machine
from node.sim.submissions import Queue
from node.sim.world import served_text
from node.store.errors import StoreError
from protocol.audit import AuditError
from protocol.certificates import CertificateError, check_certificate
from protocol.codec import encode
from protocol.epochs.agreement import AgreementMachine
from protocol.epochs.checking import CertifiedOutcome, InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.learnt import Learnt, LearntError, named_in
from protocol.epochs.view import Epoch
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.hashing import content_digest
from protocol.messages import AboutEpoch, Body, Evidence, Exit, Registration, StakeTransfer
from protocol.quorum import has_quorum
from protocol.rounds import AttesterMachine, DealerMachine
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import (
    NOBODY,
    ShardRound,
    chain_depth,
    dealer_of,
    is_scheduled,
    pool_indices,
    round_at,
    shard_of,
    shard_round,
    slot_start_ms,
)
from protocol.statement import Statement

LOOK_EVERY_MS = 500
"""How often a dealer looks whether enough are connected; a third of a slot at most."""


class SimValidator(SimNode):
    """Deals when drawn, attests always, keeps what is certified."""

    follows_votes = True
    gift: Gift | None = None
    """Stake it is to give."""
    _met: set[bytes]  # bounded by genesis
    _heard: dict[bytes, Statement[Body]]  # what may enter a record; bounded by the members and newcomers
    _queue: Queue
    _agreement: AgreementMachine

    def joined(self) -> None:
        """As `node/roles/validator.py`: from the next round on."""
        super().joined()
        self._met = set()
        self._heard = {}
        self._queue = Queue(self.disk)
        self._agreement = AgreementMachine(self.epochs, self.key, lock_on(self.disk))
        self._wait_for(self.next_round())
        if self.gift is not None:
            self._give(self.gift)

    def _give(self, gift: Gift) -> None:
        """Offer the stake, once an epoch at most."""
        self.after(FOLLOW_EVERY_MS, lambda: self._give(gift))
        now = round_at(self.genesis, self.now_ms)
        if now < 0:
            return
        offer = gift.next_offer(self.epochs, self.key, now // self.genesis.parameters.epoch_rounds)
        if offer is not None:
            self.gossip(self.say(offer))

    def _wait_for(self, round_: int) -> None:
        self.sleep_until(slot_start_ms(self.genesis, round_), lambda: self._slot(round_))

    def _slot(self, round_: int) -> None:
        self._queue.requeue(round_)
        self._hand_over(round_ + 1)
        for shard in range(self.genesis.parameters.shards_per_round):
            at = shard_round(self.genesis, round_, shard)
            if is_scheduled(self.genesis, at):
                self._open(at)
        self.slot_began(round_)
        for at in [at for at in self.machines if at.round < round_ - ROUNDS_KEPT - 1]:
            del self.machines[at]
        self._wait_for(max(round_ + 1, round_at(self.genesis, self.now_ms)))

    def slot_began(self, round_: int) -> None:
        """The next epoch may be agreed on in this slot."""
        slot = shard_round(self.genesis, round_, 0)
        assert self.signer is not None
        if is_scheduled(self.genesis, slot) and round_ >= self.signer.first_round:
            self.handle(slot, ev.SlotBegan(slot))

    def _open(self, at: ShardRound) -> None:
        machines: list[Machine] = [self._agreement] if at.shard == 0 else []
        self.machines[at] = machines
        epoch = self.epochs.find(at.epoch)
        if epoch is None:
            self.note(f"cannot open {at}: no record of epoch {at.epoch}")
            return
        attester = AttesterMachine(epoch, at, self.key, self.shared.audit)
        deals = dealer_of(epoch, at) == self.key
        machines[:0] = [DealerMachine(epoch, at, self.key), attester] if deals else [attester]
        for effect in attester.start():
            self.one(at, effect)
        if deals:
            self._deal_when_heard(at)

    def _deal_when_heard(self, at: ShardRound) -> None:
        """Deal once a quorum of validators and enough encoders are connected, or leave the slot unused."""
        assert self.signer is not None
        epoch = self.epochs.of(at.epoch)
        if at.round < self.signer.first_round or not pool_indices(epoch, at):
            return
        p = self.genesis.parameters
        self._met.update(key for key in self.network.peers if self._connected(key))
        present = [key for key in shard_of(epoch, at) if self._connected(key)]
        stake = sum(
            member.stake
            for key, member in epoch.validators.items()
            if key == self.key or self._connected(key)
        )
        if len(present) >= p.encoders_min and has_quorum(stake, epoch.total_stake):
            self._deal(at)
        elif self.now_ms < slot_start_ms(self.genesis, at.round) + p.slot_ms // 3:
            self.after(LOOK_EVERY_MS, lambda: self._deal_when_heard(at))
        else:
            self.note(f"does not deal {at}: too few are connected")

    def _deal(self, at: ShardRound) -> None:
        member = self.member
        epoch = self.epochs.of(at.epoch)
        assert member.chain is not None
        scored = tuple(member.pool_item(index) for index in pool_indices(epoch, at))
        preimage = member.chain.preimage(chain_depth(self.genesis, at))
        self.handle(at, ev.Deal(preimage, scored, self.served(at)))
        for key in shard_of(epoch, at):
            if key in self._met and not self._connected(key):
                self.handle(at, ev.PeerGone(key))

    def served(self, at: ShardRound) -> tuple[bytes, ...]:
        """What users submitted: to this dealer in every round, and what waits here."""
        return (served_text(at), *self._queue.waiting())

    def submit(self, items: tuple[bytes, ...]) -> None:
        """Users submit items here."""
        try:
            for item in items:
                # First: a write that is reported as failed may be on the disk all the same.
                self.observer.submitted(item)
                self._queue.submit(item)
        except StoreError as error:
            self.note(f"takes no item: {error}")

    def take_items(self, items: tuple[bytes, ...]) -> None:
        """Another validator hands over what waits there."""
        self.enter(lambda: self.submit(items))

    def _hand_over(self, round_: int) -> None:
        """Give what waits here to a dealer of the round that comes next; it waits here all the same."""
        items = self._queue.waiting()
        epoch = self.epochs.find(round_ // self.genesis.parameters.epoch_rounds)
        if not items or epoch is None:
            return
        dealer = dealer_of(epoch, shard_round(self.genesis, round_, 0))
        if dealer not in (self.key, NOBODY):
            self.network.ask(self.key, dealer, lambda peer: peer.take_items(items), lambda _: None)

    def _connected(self, key: bytes) -> bool:
        return self.network.connected(self.key, key)

    # -- epochs --------------------------------------------------------------------------------------------

    def witness(self, statement: Statement[Body]) -> None:
        """Registrations, exits, transfers and evidence wait for the next record."""
        if isinstance(statement.body, Registration | Exit | StakeTransfer | Evidence):
            self._heard[statement.digest] = statement

    def inputs(self, at: ShardRound, effect: fx.GatherInputs | fx.CheckInputs) -> None:
        """As `node/epochs/desk.py`."""
        if effect.epoch != self.epochs.newest.number + 1:
            return
        certified = self.certified(self.epochs.newest.number - 1)
        if isinstance(effect, fx.GatherInputs):
            heard = [self._heard[name] for name in sorted(self._heard)]
            known = Known(
                certified,
                [one for one in heard if isinstance(one.body, Registration)],  # type: ignore[misc]
                [one for one in heard if isinstance(one.body, Exit)],  # type: ignore[misc]
                [one for one in heard if isinstance(one.body, Evidence)],  # type: ignore[misc]
                [one for one in heard if isinstance(one.body, StakeTransfer)],  # type: ignore[misc]
            )
            try:
                inputs, epoch = gather_inputs(self.epochs, known, self._learn)
            except (LearntError, StoreError) as error:
                self.note(f"proposes nothing: {error}")
                return
            self.handle(at, ev.InputsGathered(encode(inputs), epoch))
            return
        name = content_digest(effect.data)
        try:
            evidence = [one for one in self._heard.values() if isinstance(one.body, Evidence)]
            found = check_inputs(
                self.epochs,
                effect.data,
                certified,
                self._learn,
                heard=evidence,  # type: ignore[arg-type]
                vouched=effect.vouched,
            )
        except InputsError as error:
            self.handle(at, ev.InputsRefused(name, str(error)))
        except StoreError as error:
            self.note(
                f"checks nothing: {error}"
            )  # as the driver: who cannot keep what it learns says nothing
        else:
            self.handle(at, ev.InputsChecked(name, found))

    def certified(self, epoch: int) -> Sequence[CertifiedOutcome]:
        """The certified rounds of an epoch, as they enter a record."""
        return certified_in(self.disk, self.epochs, epoch)

    def _learn(self, rounds: Sequence[CertifiedRef]) -> Learnt:
        learnt = self.shared.learn(self.disk, self.epochs, rounds)
        for data in learnt:
            if data:
                self.keep(content_digest(data), data)
        return learnt

    def unopened(self, statement: Statement[Body]) -> None:
        """What is said of the next epoch in a slot that began without this node counts all the same."""
        if isinstance(statement.body, AboutEpoch):
            self.machines[statement.body.at] = [self._agreement]

    def tell_rounds(self, epoch: int) -> tuple[fx.RoundCertified, ...]:
        """The certified rounds of an epoch that are written down here."""
        return tuple(
            fact for fact in self.disk.facts if isinstance(fact, fx.RoundCertified) and fact.at.epoch == epoch
        )

    def catch_up(self, source: bytes) -> None:
        """Ask for the certified rounds of the epoch that the next record takes up, and what records name."""
        self._complete(source)
        epoch = self.epochs.find(self.epochs.newest.number - 1)
        if epoch is None:
            return
        life = self._life

        def told(rounds: tuple[fx.RoundCertified, ...] | None) -> None:
            if self._life == life and rounds:
                self.enter(lambda: self._take_rounds(epoch, rounds))

        self.network.ask(self.key, source, lambda peer: peer.tell_rounds(epoch.number), told)

    def _complete(self, source: bytes) -> None:
        life = self._life

        def arrived(name: bytes, data: bytes | None) -> None:
            if self._life == life and data is not None and content_digest(data) == name:
                self.enter(lambda: self._keep_learnt(name, data))

        for name, _ in named_in(self.epochs.newest.record):
            if self.blob(name) is None:
                self.network.fetch(self.key, name, source, partial(arrived, name))

    def _keep_learnt(self, name: bytes, data: bytes) -> None:
        try:
            self.keep(name, data)
        except StoreError as error:
            self.note(f"keeps nothing: {error}")

    def _take_rounds(self, epoch: Epoch, rounds: tuple[fx.RoundCertified, ...]) -> None:
        here = {fact.at for fact in self.tell_rounds(epoch.number)}
        try:
            for fact in rounds:
                if fact.at in here or fact.certificate.report != fact.header.digest:
                    continue
                check_certificate(epoch, fact.certificate)
                self.shared.audit(epoch, fact.header, encode(fact.body))
                self.persist(fact)
                self.note(f"catches up with round {fact.at}")
        except (CertificateError, AuditError, StoreError) as error:
            self.note(f"takes no round: {error}")

    # -- disk ----------------------------------------------------------------------------------------------

    def persist(self, fact: fx.Fact) -> None:
        """Write a fact down. Raises StoreError."""
        self.disk.record(fact)
        self._queue.recorded(fact)
        if isinstance(fact, fx.EpochDecided):
            self.begins(fact.epoch)
        self.observer.persisted(self, fact)

    def keep(self, name: bytes, data: bytes) -> None:
        """Make bytes durable, then serve them. Raises StoreError."""
        self.disk.keep(name, data)
        super().keep(name, data)

    def blob(self, digest: bytes) -> bytes | None:
        """A blob of memory or disk."""
        return super().blob(digest) or self.disk.blobs.get(digest)
