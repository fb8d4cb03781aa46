"""A simulated validator hands stake to a newcomer, as `node/roles/transferring.py` does, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.cards import SignedCard, ValidatorCard, card_digest
from protocol.epochs.known import Epochs
from protocol.epochs.stakes import transit_stake_max
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis, ValidatorMember
from protocol.messages import StakeTransfer
from protocol.schedule import first_place
from protocol.signatures import sign

RECORDS_COUNTED_IN = 2


@dataclass
class Gift:
    """Stake one validator gives a newcomer. It lies on the giver's disk: a crash forgets nothing of it."""

    to: SignedCard
    amount: int
    said_in: int = -1
    """The epoch it was offered in last."""
    done: bool = False
    """A record has taken it up."""

    def next_offer(self, epochs: Epochs, me: bytes, number: int) -> StakeTransfer | None:
        """What to say in epoch `number`, as no earlier offer can count any more; None where nothing."""
        self.done = self.done or any(
            held.giver == me and held.made == self.said_in
            for epoch in (epochs.find(self.said_in + ahead) for ahead in (1, 2))
            if epoch is not None
            for held in epoch.record.transfers
        )
        waits = self.said_in >= 0 and epochs.newest.number < self.said_in + RECORDS_COUNTED_IN
        epoch = epochs.find(number)
        if self.done or waits or epoch is None or me not in epochs.newest.validators:
            return None
        self.said_in = number
        return StakeTransfer(first_place(epoch), self.to.card.public_key, self.amount, (self.to,))


def gift_to(newcomer: ValidatorMember, seed: bytes, genesis: Genesis) -> Gift:
    """As much as may be on its way at a time, for a newcomer that signs its card."""
    card = ValidatorCard(newcomer.public_key, (), newcomer.pool_root, newcomer.pool_size, newcomer.chain_tip)
    signed = SignedCard(card, sign(seed, card_digest(genesis.network_id, card)))
    return Gift(signed, transit_stake_max(Epoch.first(genesis)))
