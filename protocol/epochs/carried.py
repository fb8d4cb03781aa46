"""Epochs in which nothing happens: each record follows from the one before and no inputs."""

from __future__ import annotations

from protocol.epochs.known import Epochs
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis


class CarriedEpochs(Epochs):
    """Every epoch is known: membership is genesis'."""

    def __init__(self, genesis: Genesis) -> None:
        self._all: dict[int, Epoch] = {}  # bounded by the length of the hash chains
        super().__init__(genesis, self._all.get)

    def find(self, number: int) -> Epoch | None:
        """The epoch of this number, carried on to from genesis."""
        p = self.genesis.parameters
        while self.newest.number < number <= p.chain_length // p.epoch_rounds:
            following = next_epoch(self.newest, self, no_inputs(self.newest.number + 1), ())
            self.add(following)
            self._all[following.number] = following
        return super().find(number)
