"""The epochs a node knows: those of late in memory, a chain from genesis on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from protocol.epochs.view import Epoch
from protocol.genesis import Genesis

EPOCHS_KEPT = 16
"""Epochs held in memory beside the first; older ones are loaded again when asked for."""


class UnknownEpochError(LookupError):
    """The record of an epoch is not here."""


class Epochs:
    """Epochs by number. Records enter through `add` only, one after the other."""

    def __init__(self, genesis: Genesis, load: Callable[[int], Epoch | None] = lambda _: None) -> None:
        """`load` finds an epoch that is no longer in memory."""
        self.genesis = genesis
        self._load = load
        self._first = Epoch.first(genesis)
        self._late: OrderedDict[int, Epoch] = OrderedDict()
        self.newest = self._first
        """The epoch whose record was added last."""

    def add(self, epoch: Epoch) -> None:
        """Take up the next epoch. ValueError unless it follows the newest."""
        if epoch.record.previous != self.newest.digest or epoch.number != self.newest.number + 1:
            raise ValueError(f"the record of epoch {epoch.number} does not follow the newest one known")
        self.newest = epoch
        self._keep(epoch)

    def pass_over(self, epoch: Epoch) -> None:
        """Take up the next epoch by its record alone: its encoders stay unknown. ValueError as in `add`."""
        self.add(epoch)
        del self._late[epoch.number]

    def resume(self, epoch: Epoch) -> None:
        """Take up an epoch that an earlier process checked; those before it are loaded when asked for."""
        self.newest = epoch
        self._keep(epoch)

    def find(self, number: int) -> Epoch | None:
        """An epoch by its number; None while its record is not known."""
        if number == 0:
            return self._first
        if number < 0 or number > self.newest.number:
            return None
        epoch = self._late.get(number)
        if epoch is None:
            epoch = self._load(number)
            if epoch is not None:
                self._keep(epoch)
        return epoch

    def of(self, number: int) -> Epoch:
        """An epoch by its number. Raises UnknownEpochError."""
        epoch = self.find(number)
        if epoch is None:
            raise UnknownEpochError(
                f"the record of epoch {number} is not known here: start the node and let it catch up"
            )
        return epoch

    def _keep(self, epoch: Epoch) -> None:
        # A worker's thread may load epochs too: no step here fails when another comes in between.
        self._late.pop(epoch.number, None)
        self._late[epoch.number] = epoch
        while len(self._late) > EPOCHS_KEPT:
            self._late.popitem(last=False)
