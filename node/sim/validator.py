"""The validator's life: rounds open with their slots, a dealer deals, facts go to the disk."""

from __future__ import annotations

from node.sim.node import SimNode
from node.sim.world import served_text
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.quorum import has_quorum
from protocol.rounds import AttesterMachine, DealerMachine
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import (
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

LOOK_EVERY_MS = 500
"""How often a dealer looks whether enough are connected; a third of a slot at most."""


class SimValidator(SimNode):
    """Deals when drawn, attests always, keeps what is certified."""

    _met: set[bytes]  # bounded by genesis

    def joined(self) -> None:
        """As `node/roles/validator.py`: from the next round on."""
        self._met = set()
        self._wait_for(self.next_round())

    def _wait_for(self, round_: int) -> None:
        self.sleep_until(slot_start_ms(self.genesis, round_), lambda: self._slot(round_))

    def _slot(self, round_: int) -> None:
        for shard in range(self.genesis.parameters.shards_per_round):
            at = shard_round(self.genesis, round_, shard)
            if is_scheduled(self.genesis, at):
                self._open(at)
        for at in [at for at in self.machines if at.round < round_ - ROUNDS_KEPT - 1]:
            del self.machines[at]
        self._wait_for(max(round_ + 1, round_at(self.genesis, self.now_ms)))

    def _open(self, at: ShardRound) -> None:
        epoch = self.epochs.of(at.epoch)
        attester = AttesterMachine(epoch, at, self.key, self.shared.audit)
        deals = dealer_of(epoch, at) == self.key
        self.machines[at] = [DealerMachine(epoch, at, self.key), attester] if deals else [attester]
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
        self.handle(at, ev.Deal(preimage, scored, (served_text(at),)))
        for key in shard_of(epoch, at):
            if key in self._met and not self._connected(key):
                self.handle(at, ev.PeerGone(key))

    def _connected(self, key: bytes) -> bool:
        return self.network.connected(self.key, key)

    # -- disk ----------------------------------------------------------------------------------------------

    def persist(self, fact: fx.Fact) -> None:
        """Write a fact down. Raises StoreError."""
        self.disk.record(fact)
        self.observer.persisted(self, fact)

    def keep(self, name: bytes, data: bytes) -> None:
        """Make bytes durable, then serve them. Raises StoreError."""
        self.disk.keep(name, data)
        super().keep(name, data)

    def blob(self, digest: bytes) -> bytes | None:
        """A blob of memory or disk."""
        return super().blob(digest) or self.disk.blobs.get(digest)
