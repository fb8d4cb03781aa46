"""The signer's contract on a simulated disk.

What `node/signer` promises, without its database: a vote is durable before its signature leaves, one digest a
slot, no vote for a round in which an earlier process may have voted, none after a failed write until the
records are read again.
"""

from __future__ import annotations

from collections.abc import Callable

from node.signer.errors import EquivocationRefused, OpensLaterError, SignerError, TooEarly
from node.sim.disk import Disk, DiskError
from protocol.evidence import Slot
from protocol.signatures import sign


class SimSigner:
    """Signs for one key. `at_boundary` is called where a process may end."""

    def __init__(self, disk: Disk, seed: bytes, first_round: int, at_boundary: Callable[[str], None]) -> None:
        """Raises OpensLaterError when the clock is behind what the key has been used for, and SignerError."""
        self._disk = disk
        self._seed = seed
        self._at_boundary = at_boundary
        self._usable = False
        self.first_round = first_round
        self.open(first_round)

    @property
    def has_failed(self) -> bool:
        """Whether a write has failed, so that nothing is signed until it is opened again."""
        return not self._usable

    def open(self, first_round: int) -> None:
        """Read the records as a new process would. Raises OpensLaterError, SignerError."""
        if first_round <= self._disk.closed_round:
            raise OpensLaterError(
                "the clock is behind what this key was used for: set it right", self._disk.closed_round + 1
            )
        self.first_round = first_round
        self._write(lambda: self._close_rounds(first_round - 1))
        self._usable = True

    def sign(self, slot: Slot | None, name: bytes) -> bytes:
        """The signature of a statement; without a slot nothing is recorded. Raises SignerError."""
        if slot is None:
            return sign(self._seed, name)
        if not self._usable:
            raise SignerError("the signer has failed to write: free some space, then open it again")
        self._at_boundary("signer requested")
        self._vote(slot, name)
        self._at_boundary("signer vote committed")
        signature = sign(self._seed, name)
        self._at_boundary("signer signed")
        return signature

    def _vote(self, slot: Slot, name: bytes) -> None:
        recorded = self._disk.votes.get(slot)
        if recorded is not None:
            if recorded != name:
                raise EquivocationRefused("this slot is signed already: one statement a slot")
            return
        round_ = slot[1].round
        if round_ < self.first_round:
            raise TooEarly(round_, self.first_round)
        self._usable = False
        self._write(lambda: self._record(slot, name))
        self._usable = True

    def _record(self, slot: Slot, name: bytes) -> None:
        self._disk.votes[slot] = name
        self._close_rounds(slot[1].round)

    def _close_rounds(self, round_: int) -> None:
        self._disk.closed_round = max(self._disk.closed_round, round_)

    def _write(self, change: Callable[[], None]) -> None:
        try:
            self._disk.write(change)
        except DiskError as error:
            raise SignerError(f"cannot record votes: {error}") from error
