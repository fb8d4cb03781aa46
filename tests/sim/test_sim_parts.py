"""The simulator's disk, signer, stand-in and invariants by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.signer.errors import EquivocationRefused, OpensLaterError, SignerError, TooEarly
from node.sim.disk import Crash, Disk, DiskError, DiskState
from node.sim.scheduler import Scheduler
from node.sim.signer import SimSigner
from node.sim.streams import stream
from node.sim.vectors import encode
from protocol.evidence import Slot
from protocol.hashing import digest
from protocol.messages import Kind
from protocol.schedule import ShardRound

SEED = digest("test-sim-signer")
A, B = digest("a"), digest("b")


def slot(round_: int = 5) -> Slot:
    return (Kind.ATTESTATION, ShardRound(0, round_, 0), 0, b"k" * 32)


def signer(disk: Disk, first_round: int = 5) -> SimSigner:
    return SimSigner(disk, SEED, first_round, lambda _: None)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(list(DiskState)), st.integers(4, 9), st.sampled_from([A, B]), st.booleans()
        ),
        max_size=30,
    )
)
def test_signer__never_signs_two_for_one_slot_whatever_the_disk_does(
    steps: Sequence[tuple[DiskState, int, bytes, bool]],
) -> None:
    disk, signed = Disk(), {}
    voter: SimSigner | None = None
    for state, round_, name, restarts in steps:
        disk.state = state
        try:
            if voter is None or restarts:
                voter = None
                voter = signer(disk, round_)
            voter.sign(slot(round_), name)
        except (SignerError, Crash):
            continue
        assert signed.setdefault(round_, name) == name
        assert disk.votes[slot(round_)] == name


def test_second_digest_of_a_slot__is_refused() -> None:
    voter = signer(Disk())
    assert voter.sign(slot(), A) == voter.sign(slot(), A)
    with pytest.raises(EquivocationRefused):
        voter.sign(slot(), B)


def test_clock_behind_the_last_vote__opens_later() -> None:
    disk = Disk()
    signer(disk).sign(slot(7), A)
    with pytest.raises(OpensLaterError) as refusal:
        signer(disk, 7)
    assert refusal.value.first_round_min == 8
    with pytest.raises(TooEarly):
        signer(disk, 9).sign(slot(8), A)


def test_failed_write__stops_the_signer_until_it_is_opened_again() -> None:
    disk = Disk()
    voter = signer(disk)
    disk.state = DiskState.UNSURE
    with pytest.raises(SignerError, match="cannot record"):
        voter.sign(slot(), A)
    disk.state = DiskState.WORKS
    with pytest.raises(SignerError, match="has failed"):
        voter.sign(slot(6), A)
    voter.open(6)
    with pytest.raises(EquivocationRefused):
        voter.sign(slot(), B)


@pytest.mark.parametrize(
    ("state", "error", "written"),
    [
        (DiskState.REFUSES, DiskError, False),
        (DiskState.UNSURE, DiskError, True),
        (DiskState.TORN, Crash, False),
    ],
)
def test_bad_disk__writes_whole_or_not_at_all(
    state: DiskState, error: type[BaseException], written: bool
) -> None:
    disk = Disk(state)
    with pytest.raises(error):
        disk.keep(A, b"answers")
    assert bool(disk.blobs) is written


def test_scheduler__runs_in_order_of_time_then_of_asking() -> None:
    scheduler, ran = Scheduler(100), []
    for name, at_ms in (("c", 300), ("a", 50), ("b", 200), ("d", 300), ("later", 400)):
        scheduler.at(at_ms, lambda name=name: ran.append((scheduler.now_ms, name)))  # type: ignore[misc]
    scheduler.run_until(400)
    assert ran == [(100, "a"), (200, "b"), (300, "c"), (300, "d")]
    assert scheduler.now_ms == 400


def test_streams__are_apart_by_name_and_seed() -> None:
    draws = {stream(seed, name).getrandbits(64) for seed in (1, 2) for name in ("links", "crash 0")}
    assert len(draws) == 4
    assert stream(1, "links").getrandbits(64) in draws


def test_encoders__answer_unit_vectors_at_full_size() -> None:
    answers = encode(b"e" * 32, 0.5, ["one two three", "four five six"])
    assert len(answers) == 2 * 4096
    assert encode(b"e" * 32, 0.5, ["one two three"]) == answers[:4096]
