"""The one-vote rule: no key ever signs two statements for one slot, whatever crashes or is put back.

What it withstands, each alone or in any order:
- a crash at any point: a vote is on the disk, and its watermark too, before its signature leaves;
- the database put back from an older copy: the watermark knows more, and the signer waits;
- the watermark put back or removed: the database knows more;
- both put back: every process votes only from `first_round` on, past whatever an earlier one can have signed;
- a clock that is set back: the database and the watermark both remember the highest round.

What no record on this machine can show: both put back *and* `first_round` too low. So `first_round` must come
from more than the clock: one above the highest of the clock's round and every round seen certified, by us or
by peers. A key must not be used on two machines.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from node.signer.errors import SignerClockBehind, SignerError, SignerLocked, SignerRolledBack, VoteRefused
from node.signer.files import lock_exclusively
from node.signer.ledger import VoteLedger
from node.signer.slot import VoteSlot
from node.signer.watermark import Mark, WatermarkFile, signer_owner, watermark_path
from protocol.hashing import DIGEST_BYTES
from protocol.signatures import public_key, sign


class Boundary(Enum):
    """The points between two steps towards a signature, in order. Tests crash at each."""

    REQUESTED = "requested"
    """Nothing is written. After a crash the slot is as free as before."""
    VOTE_RECORDED = "vote_recorded"
    """In an open transaction: a crash takes the vote back, and no signature has left."""
    VOTE_COMMITTED = "vote_committed"
    """On the disk, not yet in the watermark: the slot is taken, by a vote that nobody has seen."""
    WATERMARK_STAGED = "watermark_staged"
    """The new watermark lies beside the old one, which still counts: as above."""
    WATERMARK_WRITTEN = "watermark_written"
    """From here on an older database is told from this one; only now may the signature leave."""
    SIGNED = "signed"
    """About to be handed out: the same request gives the same signature again."""


class History(Enum):
    """What the records showed when the signer was opened."""

    COMPLETE = "complete"
    """Every vote the watermark has seen is in the database."""
    ROLLED_BACK = "rolled_back"
    """Some are not, or there was no watermark: their rounds are over, and closed to new votes."""


LOOK_WITHIN_S: Final = 0.05
"""How long a question about the records waits for a vote that is being recorded."""


def _carry_on(_: Boundary) -> None:
    """Nothing happens at a boundary."""


class Signer:
    """Signs for one key in one network. Thread-safe, one signature at a time.

    `sign` waits for the disk: call it in `trio.to_thread.run_sync`. After any error but a refusal the signer
    signs no more votes: what reached the disk is unknown until it is opened again, or reopened.
    """

    def __init__(
        self,
        path: Path,
        seed: bytes,
        ledger: VoteLedger,
        watermark: WatermarkFile,
        lock_descriptor: int,
        first_round: int,
        history: History,
        at_boundary: Callable[[Boundary], None],
    ) -> None:
        self.public_key = public_key(seed)
        self.first_round = first_round
        self.history = history
        self._path = path
        self._seed = seed
        self._ledger = ledger
        self._watermark = watermark
        self._lock_descriptor = lock_descriptor
        self._at_boundary = at_boundary
        self._mutex = threading.Lock()
        self._process = os.getpid()
        self._published: Mark | None = None
        self._usable = True
        self._forbidden = False
        self._replaced_before = 0
        self._postponed_to = 0

    @classmethod
    def open(
        cls,
        path: Path,
        seed: bytes,
        network_id: bytes,
        *,
        first_round: int,
        at_boundary: Callable[[Boundary], None] = _carry_on,
    ) -> Self:
        """Open or create the database at `path`, with `.watermark` and `.lock` files beside it, all 0600.

        New votes are cast from `first_round` on: one above the round that runs now, by the clock and by what
        was seen certified. Raises `SignerLocked`; `SignerRolledBack` and `SignerClockBehind`, which say from
        which `first_round_min` on it opens; `SignerCorrupted`; `SignerError`.
        """
        owner = signer_owner(public_key(seed), network_id)
        first_round = max(first_round, 0)
        try:
            lock_descriptor = lock_exclusively(path.with_name(path.name + ".lock"))
        except OSError as error:
            raise _no_access(path, error) from error
        ledger = None
        try:
            ledger = VoteLedger(path, owner)
            watermark = WatermarkFile(watermark_path(path), owner)
            history = _admit(ledger, watermark.read(), first_round, path)
            signer = cls(path, seed, ledger, watermark, lock_descriptor, first_round, history, at_boundary)
            signer._close_rounds()
        except BaseException as error:
            if ledger is not None:
                ledger.close()
            os.close(lock_descriptor)
            if isinstance(error, OSError):
                raise _no_access(path, error) from error
            raise
        return signer

    def has_failed(self) -> bool:
        """Whether a write has failed since it was opened, so that it signs no votes until it is reopened."""
        with self._mutex:
            return self._lock_descriptor >= 0 and not self._usable and not self._forbidden

    def postpone(self, first_round: int) -> None:
        """Cast no new vote before this round either; never takes back what was postponed further."""
        with self._mutex:
            self._postponed_to = max(first_round, self._postponed_to)
            self.first_round = max(self.first_round, self._postponed_to)

    def forbid(self) -> None:
        """Sign no vote any more, until another process opens the signer: somebody else uses the key.

        Does not wait for a vote that is being recorded.
        """
        self._forbidden = True

    def disowns(self, slot: VoteSlot, digest: bytes) -> bool:
        """Whether this process cannot have signed this vote. Raises SignerError when that cannot be told.

        Votes of rounds whose records were replaced, or are so old that they were let go, may be its own.
        """
        # Asked on the node's loop, which a disk that hangs under a vote must not hold up.
        if not self._mutex.acquire(timeout=LOOK_WITHIN_S):
            raise SignerError("a vote is being recorded: ask again when that is done")
        try:
            recorded_from = max(self._replaced_before, self._ledger.kept_from)
            return slot.round >= recorded_from and not self._ledger.has(slot, digest)
        finally:
            self._mutex.release()

    def reopen(self, first_round: int) -> None:
        """After a failure: read both records again, as a new process would, and vote from `first_round` on.

        The lock is kept. Raises what `open` raises; the signer then signs nothing, and may be reopened later.
        """
        with self._mutex:
            if self._lock_descriptor < 0 or os.getpid() != self._process:
                self._check_usable()
            self._usable = False
            self._ledger.close()
            self._published = None
            try:
                self._ledger = VoteLedger(self._path, self._watermark.owner)
                self.history = _admit(self._ledger, self._watermark.read(), first_round, self._path)
                self.first_round = max(first_round, self._postponed_to)
                if self.history is History.ROLLED_BACK:
                    self._replaced_before = self.first_round
                self._close_rounds()
            except BaseException as error:
                self._ledger.close()
                if isinstance(error, OSError):
                    raise _no_access(self._path, error) from error
                raise
            self._usable = True

    def sign(self, slot: VoteSlot, digest: bytes) -> bytes:
        """The signature [64] of the one statement of a slot; the same again for the same digest.

        Raises `EquivocationRefused` for another digest, `TooEarly` for an unrecorded vote before
        `first_round`, `TooManyVotes`, and `SignerError` when the vote cannot be brought to the disk.
        """
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        with self._mutex:
            self._check_usable()
            self._at_boundary(Boundary.REQUESTED)
            self._vote(slot, digest)
            signature = sign(self._seed, digest)
            self._at_boundary(Boundary.SIGNED)
            return signature

    def sign_free(self, digest: bytes) -> bytes:
        """The signature of a statement without slot: certificate, dispute, evidence, submission."""
        return sign(self._seed, digest)

    def close(self) -> None:
        """Let go of the files; closing twice is harmless."""
        with self._mutex:
            self._usable = False
            if self._lock_descriptor >= 0:
                self._ledger.close()
                os.close(self._lock_descriptor)
                self._lock_descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _vote(self, slot: VoteSlot, digest: bytes) -> None:
        # Until both records are known to be on the disk, nothing more is signed by this object.
        self._usable = False
        try:
            self._ledger.vote(
                slot, digest, self.first_round, lambda: self._at_boundary(Boundary.VOTE_RECORDED)
            )
        except VoteRefused:
            self._usable = True
            raise
        if self._published != self._ledger.mark:
            self._at_boundary(Boundary.VOTE_COMMITTED)
            self._publish(self._ledger.mark)
        self._usable = True

    def _close_rounds(self) -> None:
        """Bind later processes not to vote before this one: they cannot know where this one has voted."""
        mark = replace(self._ledger.mark, closed_round=self.first_round - 1)
        # The watermark first: ahead of the database in rounds it is still in step with it in votes, while a
        # database ahead of a missing watermark would look like a watermark that was removed.
        self._publish(mark)
        self._ledger.close_rounds(mark.closed_round)

    def _publish(self, mark: Mark) -> None:
        try:
            self._watermark.write(mark, lambda: self._at_boundary(Boundary.WATERMARK_STAGED))
        except OSError as error:
            raise _no_access(self._path, error) from error
        self._published = mark
        self._at_boundary(Boundary.WATERMARK_WRITTEN)

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise SignerLocked(
                "this process is a copy (fork) of the one that holds the signer: only that one may sign"
            )
        if self._forbidden:
            raise SignerError("another node signs with this key: this one votes no more")
        if not self._usable:
            raise SignerError(
                f"the signer of {self._path} is closed or has failed to write: "
                "free some space if the disk is full, then start the node again"
            )


def _admit(ledger: VoteLedger, mark: Mark | None, first_round: int, path: Path) -> History:
    """Whether new votes from `first_round` on can contradict none that was ever cast.

    Raises `SignerClockBehind`, `SignerRolledBack`.
    """
    closed_round = max(ledger.mark.closed_round, -1 if mark is None else mark.closed_round)
    if ledger.pristine if mark is None else ledger.contains(mark):
        if first_round <= closed_round:
            raise SignerClockBehind(
                f"{path} has been used up to round {closed_round}, and would now vote from round "
                f"{first_round} on: set the clock right, or wait until round {closed_round} has started",
                closed_round + 1,
            )
        return History.COMPLETE
    # Votes are missing, and all we know is that they are for closed rounds. One more round must have begun
    # than an intact history needs: whoever puts files back may have put back the clock by a little too.
    if first_round <= closed_round + 1:
        found = "has lost its watermark" if mark is None else "was put back from an older copy"
        raise SignerRolledBack(
            f"{path} {found}, so votes up to round {closed_round} may be missing in it: "
            f"wait until round {closed_round + 1} has started, then start again",
            closed_round + 2,
        )
    ledger.restart(replace(mark or ledger.mark, closed_round=closed_round))
    return History.ROLLED_BACK


def _no_access(path: Path, error: OSError) -> SignerError:
    return SignerError(
        f"cannot record votes at {path}: {error.strerror or error}; "
        "check the disk's space and the permissions of the folder, then start again"
    )
