"""A crash at every boundary between asking for a signature and getting it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from node.signer import (
    Boundary,
    EquivocationRefused,
    History,
    Signer,
    SignerClockBehind,
    TooEarly,
    VoteSlot,
)

SEED = bytes(range(32))
NETWORK_ID = b"n" * 32
ONE, OTHER = b"1" * 32, b"2" * 32
SLOT = VoteSlot("report", epoch=0, round=7, shard=0)

BEFORE_COMMIT = (Boundary.REQUESTED, Boundary.VOTE_RECORDED)


class Crash(BaseException):
    """The process ends here: nothing after it runs but what the kernel does for a dead process."""


def crash_at(boundary: Boundary) -> Callable[[Boundary], None]:
    def at_boundary(reached: Boundary) -> None:
        if reached is boundary:
            raise Crash

    return at_boundary


def sign_and_crash(path: Path, boundary: Boundary, first_round: int = 7) -> None:
    Signer.open(path, SEED, NETWORK_ID, first_round=first_round).close()
    # The second opening writes no vote, so the boundary is armed for the vote alone.
    armed: list[Callable[[Boundary], None]] = []
    with Signer.open(
        path,
        SEED,
        NETWORK_ID,
        first_round=first_round,
        at_boundary=lambda reached: armed[0](reached) if armed else None,
    ) as signer:
        armed.append(crash_at(boundary))
        with pytest.raises(Crash):
            signer.sign(SLOT, ONE)


@pytest.mark.parametrize("boundary", Boundary)
def test_crash__restart_in_the_same_round_never_signs_another(tmp_path: Path, boundary: Boundary) -> None:
    path = tmp_path / "signer.sqlite"
    sign_and_crash(path, boundary)
    # Round 7 runs when the supervisor starts the node again: new votes from 8 on.
    with Signer.open(path, SEED, NETWORK_ID, first_round=8) as signer:
        assert signer.history is History.COMPLETE
        refusal = TooEarly if boundary in BEFORE_COMMIT else EquivocationRefused
        with pytest.raises(refusal):
            signer.sign(SLOT, OTHER)
        if boundary in BEFORE_COMMIT:
            with pytest.raises(TooEarly):
                signer.sign(SLOT, ONE)
        else:
            assert signer.sign(SLOT, ONE)
        assert signer.sign(VoteSlot("report", 0, 8, 0), OTHER)


@pytest.mark.parametrize("boundary", [b for b in Boundary if b not in BEFORE_COMMIT])
def test_crash__even_a_first_round_too_low_never_signs_another(tmp_path: Path, boundary: Boundary) -> None:
    path = tmp_path / "signer.sqlite"
    sign_and_crash(path, boundary)
    with pytest.raises(SignerClockBehind) as caught:
        Signer.open(path, SEED, NETWORK_ID, first_round=7)
    assert caught.value.first_round_min == 8


@pytest.mark.parametrize("boundary", [Boundary.WATERMARK_STAGED, Boundary.WATERMARK_WRITTEN])
def test_crash__while_opening_leaves_a_history_that_opens(tmp_path: Path, boundary: Boundary) -> None:
    path = tmp_path / "signer.sqlite"
    with pytest.raises(Crash):
        Signer.open(path, SEED, NETWORK_ID, first_round=7, at_boundary=crash_at(boundary))
    with Signer.open(path, SEED, NETWORK_ID, first_round=7) as signer:
        assert signer.history is History.COMPLETE
        assert signer.sign(SLOT, ONE)
    with pytest.raises(Crash):
        Signer.open(path, SEED, NETWORK_ID, first_round=8, at_boundary=crash_at(boundary))
    with Signer.open(path, SEED, NETWORK_ID, first_round=8) as signer:
        assert signer.history is History.COMPLETE
        with pytest.raises(EquivocationRefused):
            signer.sign(SLOT, OTHER)


VICTIM = """
import os, signal, sys
from pathlib import Path
from node.signer import Boundary, Signer, VoteRefused, VoteSlot

path, boundary = Path(sys.argv[1]), sys.argv[2]
first_round, digest = int(sys.argv[3]), sys.argv[4].encode() * 32
armed = False

def at_boundary(reached):
    if armed and reached.value == boundary:
        os.kill(os.getpid(), signal.SIGKILL)

seed, network_id = bytes(range(32)), b"n" * 32
with Signer.open(path, seed, network_id, first_round=first_round, at_boundary=at_boundary) as signer:
    armed = True
    try:
        signature = signer.sign(VoteSlot("report", 0, 7, 0), digest)
    except VoteRefused as refusal:
        print("refused", type(refusal).__name__)
    else:
        print("signed", signature.hex())
"""


def run_victim(path: Path, boundary: str, first_round: int, digest: str) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, "-c", VICTIM, str(path), boundary, str(first_round), digest],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode in (0, -9), finished.stderr
    return finished.returncode, finished.stdout.strip()


@pytest.mark.chaos
@pytest.mark.parametrize("boundary", Boundary)
def test_kill__at_every_boundary_never_two_reports(tmp_path: Path, boundary: Boundary) -> None:
    path = tmp_path / "signer.sqlite"
    killed, output = run_victim(path, boundary.value, 7, "1")
    assert (killed, output) == (-9, "")
    # The supervisor restarts it at once, in the same round; it now wants to sign something else.
    survived, output = run_victim(path, "none", 8, "2")
    expected = "TooEarly" if boundary in BEFORE_COMMIT else "EquivocationRefused"
    assert (survived, output) == (0, f"refused {expected}")
