"""A key moved to another machine by a backup: no slot is signed twice, in whatever order things happen.

The assumptions are those of docs/keys.md: the old machine has stopped when the new one starts, and their
clocks differ by less than a slot. What happens where the first does not hold is in test_doppelganger.py.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.datadir import DataDir
from config.genesis import save_genesis
from node.backup.contents import collect
from node.backup.restoring import restore
from node.backup.sealed import Header
from node.keys import NodeKey, write_key
from node.roles.doppelganger import RESTORED_ROUNDS
from node.signer import History, OpensLaterError, Signer, TooEarly, VoteSlot
from protocol.gossip_rules import CLOCK_SKEW_MS
from protocol.schedule import round_at, slot_start_ms
from tests.support.genesis import small_network

GENESIS, VALIDATORS, _ = small_network(2, 3, items=2)
SEED = VALIDATORS[0].seed
SLOT_MS = GENESIS.parameters.slot_ms
START_ROUND = 20
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Every vote is synced: on a disk that is all the time there is."""
OLD, NEW = b"o" * 32, b"n" * 32


@dataclass(frozen=True)
class Move:
    """What happens, in milliseconds since round 20 began on the old machine's clock."""

    voted: list[int]
    backup: int
    restored_after: int
    started_after: int
    clock_of_new: int
    """How far the new machine's clock is ahead."""
    votes_early: bool
    """The old machine answers what is said a little before its slot."""


MOVES = st.builds(
    Move,
    voted=st.lists(st.integers(0, 6 * SLOT_MS), max_size=6),
    backup=st.integers(0, 6 * SLOT_MS),
    restored_after=st.integers(0, 2 * SLOT_MS),
    started_after=st.integers(0, 3 * SLOT_MS) | st.sampled_from([0, SLOT_MS, 3 * SLOT_MS]),
    clock_of_new=st.integers(-SLOT_MS + 1, SLOT_MS - 1) | st.sampled_from([-SLOT_MS + 1, 0]),
    votes_early=st.booleans(),
)


def slot_of(round_: int) -> VoteSlot:
    return VoteSlot("report", 0, round_, 0)


@given(MOVES)
@example(Move([], 0, 0, 3 * SLOT_MS, -SLOT_MS + 1, False))  # as late as can be, by a clock as late as can be
@example(Move([], SLOT_MS - 1, 0, 3 * SLOT_MS, -SLOT_MS + 1, True))
@settings(max_examples=30, deadline=None)
def test_moved_key__signs_no_slot_twice(move: Move) -> None:
    start_ms = slot_start_ms(GENESIS, START_ROUND)
    restored_ms = start_ms + move.backup + move.restored_after
    stopped_ms = restored_ms + move.started_after  # until then the old machine goes on
    early_ms = CLOCK_SKEW_MS if move.votes_early else 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        old, new = (DataDir.open(Path(folder) / name, "ours") for name in ("old", "new"))
        write_key(old.key, NodeKey(SEED))
        save_genesis(old.genesis, GENESIS)
        first_round = round_at(GENESIS, start_ms)
        contents = None
        signed_by_old: set[int] = set()
        with Signer.open(old.signer, SEED, GENESIS.network_id, first_round=first_round) as signer:
            # The last of them as late as can be.
            for at in sorted(
                {*(ms for ms in move.voted if start_ms + ms <= stopped_ms), stopped_ms - start_ms}
            ):
                if contents is None and at >= move.backup:
                    contents, _ = collect(old)
                round_ = round_at(GENESIS, start_ms + at + early_ms)
                signer.sign(slot_of(round_), OLD)
                signed_by_old.add(round_)
        assert contents is not None
        header = Header(
            *("deltamesh backup", 1, "argon2id", 1, 8_192, bytes(16), "xchacha20-poly1305", bytes(24)),
            *(VALIDATORS[0].key, GENESIS.network_id, start_ms + move.backup),
        )
        restore(new, header, contents, restored_ms + move.clock_of_new)

        now_ms = stopped_ms + move.clock_of_new
        clock_round = round_at(GENESIS, now_ms) + 1
        try:
            signer = Signer.open(new.signer, SEED, GENESIS.network_id, first_round=clock_round)
        except OpensLaterError as error:
            # As the node does: it waits until the round before has begun by its clock.
            now_ms = max(now_ms, slot_start_ms(GENESIS, error.first_round_min - 1))
            first_round = error.first_round_min
            signer = Signer.open(new.signer, SEED, GENESIS.network_id, first_round=first_round)
        with signer:
            assert signer.history is History.ROLLED_BACK
            signer.postpone(round_at(GENESIS, now_ms + CLOCK_SKEW_MS) + 1 + RESTORED_ROUNDS)
            for round_ in range(START_ROUND - 1, signer.first_round + 2):
                try:
                    signer.sign(slot_of(round_), NEW)
                except TooEarly:
                    continue
                assert round_ not in signed_by_old
            # It does sign, and soon.
            assert signer.first_round <= max(signed_by_old) + 5
