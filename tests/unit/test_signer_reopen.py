"""A signer that could not write is opened again by the same process, and is bound by all it has signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.signer import Boundary, EquivocationRefused, History, Signer, SignerError, TooEarly, VoteSlot

SEED = bytes(range(32))
NETWORK_ID = b"n" * 32
ONE, OTHER = b"1" * 32, b"2" * 32


def slot(round_: int) -> VoteSlot:
    return VoteSlot("report", epoch=0, round=round_, shard=0)


def full_disk_at(boundary: Boundary, armed: list[bool]) -> Callable[[Boundary], None]:
    def at_boundary(reached: Boundary) -> None:
        if armed and reached is boundary:
            raise OSError(28, "No space left on device")

    return at_boundary


@pytest.mark.parametrize(
    "boundary", sorted(set(Boundary) - {Boundary.REQUESTED, Boundary.SIGNED}, key=str), ids=str
)
def test_reopen_after_a_full_disk__is_bound_as_a_new_process_would_be(
    tmp_path: Path, boundary: Boundary
) -> None:
    armed: list[bool] = []
    path = tmp_path / "signer.sqlite"
    with Signer.open(
        path, SEED, NETWORK_ID, first_round=7, at_boundary=full_disk_at(boundary, armed)
    ) as signer:
        kept = signer.sign(slot(7), ONE)
        armed.append(True)
        with pytest.raises((SignerError, OSError)):
            signer.sign(slot(8), ONE)
        assert signer.has_failed()
        with pytest.raises(SignerError, match="start the node again"):
            signer.sign(slot(9), ONE)

        armed.clear()
        signer.reopen(9)
        assert not signer.has_failed()
        assert signer.history is History.COMPLETE
        assert signer.sign(slot(7), ONE) == kept
        with pytest.raises((EquivocationRefused, TooEarly)):
            signer.sign(slot(8), OTHER)
        assert signer.sign(slot(9), OTHER)


def test_reopen_while_the_disk_is_full__fails_and_may_be_tried_again(tmp_path: Path) -> None:
    armed: list[bool] = []
    full = full_disk_at(Boundary.WATERMARK_STAGED, armed)
    with Signer.open(tmp_path / "signer.sqlite", SEED, NETWORK_ID, first_round=7, at_boundary=full) as signer:
        armed.append(True)
        with pytest.raises(SignerError, match="No space left"):
            signer.sign(slot(7), ONE)
        with pytest.raises(SignerError, match="No space left"):
            signer.reopen(8)
        assert signer.has_failed()
        armed.clear()
        signer.reopen(8)
        assert signer.sign(slot(8), ONE)


def test_reopen__in_a_round_that_may_hold_votes_is_refused(tmp_path: Path) -> None:
    with Signer.open(tmp_path / "signer.sqlite", SEED, NETWORK_ID, first_round=7) as signer:
        signer.sign(slot(9), ONE)
        with pytest.raises(SignerError, match="up to round 9"):
            signer.reopen(9)
        signer.reopen(10)
        with pytest.raises(EquivocationRefused):
            signer.sign(slot(9), OTHER)


def test_reopen__a_closed_signer_stays_closed(tmp_path: Path) -> None:
    signer = Signer.open(tmp_path / "signer.sqlite", SEED, NETWORK_ID, first_round=7)
    signer.close()
    assert not signer.has_failed()
    with pytest.raises(SignerError):
        signer.reopen(8)
    with pytest.raises(SignerError):
        signer.sign(slot(8), ONE)
