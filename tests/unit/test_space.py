"""Spaces: what shaping makes of certified vectors of any epoch, and what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from node.epochs.history import keep_epoch
from node.space import Space, SpaceError, Vectors, open_space
from protocol.codec import encode
from protocol.epochs.learnt import FIRST_SHAPING_PERCENT, ConsensusMoments, Group, moments_from
from protocol.epochs.view import Epoch
from protocol.messages import AttestationRef, EpochCertificate
from protocol.report import DIMENSIONS
from protocol.schedule import shard_round
from scoring.shaping import fit_shaping, shaping_from_moments
from tests.support.learning_desk import LearningDesk, honest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[LearningDesk]:
    desk = LearningDesk(tmp_path)
    yield desk
    desk.store.close()


def keep(desk: LearningDesk, epoch: Epoch) -> None:
    """As a validator keeps a record that was agreed on."""
    at = shard_round(honest().genesis, epoch.number, 0)
    votes = (AttestationRef(next(iter(epoch.validators)), bytes(64)),)
    keep_epoch(desk.store, epoch, EpochCertificate(at, epoch.number, epoch.digest, votes))


def raw_vectors() -> Vectors:
    return np.frombuffer(honest().body.scores.consensus, "<f4").reshape(-1, DIMENSIONS)


async def in_epoch_2(desk: LearningDesk, wanted: str = "newest") -> Space:
    keep(desk, desk.epochs.newest)
    keep(desk, (await desk.gathered()).epoch)
    return open_space(honest().genesis, desk.store, wanted)


async def test_newest_space__is_the_shaping_of_what_the_record_takes_up(here: LearningDesk) -> None:
    space = await in_epoch_2(here)
    assert (space.epoch, space.name) == (2, "epoch 2")
    expected = fit_shaping(torch.from_numpy(raw_vectors().copy()), FIRST_SHAPING_PERCENT / 100).apply(
        torch.from_numpy(raw_vectors().copy())
    )
    placed = space.place(raw_vectors(), 0)
    np.testing.assert_allclose((placed * expected.numpy()).sum(1), 1.0, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1.0, atol=1e-5)


async def test_vectors_of_epochs_with_means__are_taken_as_centred(here: LearningDesk) -> None:
    space = await in_epoch_2(here)
    mean = raw_vectors().mean(0)
    one, other = space.place(raw_vectors(), 0), space.place(raw_vectors() - mean, 2)
    # All there is to learn from yet is uncentred, with a known mean: what has lost it lies in the same place.
    np.testing.assert_allclose((one * other).sum(1), 1.0, atol=2e-4)


async def test_raw_space__changes_nothing(here: LearningDesk) -> None:
    space = await in_epoch_2(here, "raw")
    assert (space.epoch, space.name) == (None, "raw")
    assert space.place(raw_vectors(), 0).tobytes() == raw_vectors().tobytes()


async def test_first_epochs__have_learnt_nothing_and_only_take_lengths_out(here: LearningDesk) -> None:
    space = open_space(honest().genesis, here.store)
    assert space.name == "epoch 0"
    placed, raw = space.place(raw_vectors(), 0), raw_vectors()
    np.testing.assert_allclose(placed, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("7", "newest is that of epoch 2"),
        ("sunday", "say raw, newest or the number"),
        ("-1", "say raw"),
        ("²", "say"),
    ],
)
async def test_space_that_is_none__is_refused(here: LearningDesk, wanted: str, why: str) -> None:
    with pytest.raises(SpaceError, match=why):
        await in_epoch_2(here, wanted)


async def test_space_whose_moments_are_gone__says_what_else_there_is(here: LearningDesk) -> None:
    await in_epoch_2(here)
    here.store.prune_rounds(10**6, 10**6)
    with pytest.raises(SpaceError, match="--space raw"):
        open_space(honest().genesis, here.store)
    assert open_space(honest().genesis, here.store, "1").name == "epoch 1"


async def test_vectors_of_an_unknown_epoch__are_refused(here: LearningDesk) -> None:
    space = await in_epoch_2(here)
    with pytest.raises(SpaceError, match="record of epoch 9"):
        space.place(raw_vectors(), 9)


def test_shaping_from_moments__is_that_from_the_vectors() -> None:
    rows = torch.randn(50, 8, generator=torch.Generator().manual_seed(3)).double() * torch.arange(1.0, 9)
    direct = fit_shaping(rows.float())
    exact = rows.float().double()
    summed = shaping_from_moments(exact.mean(0), exact.T @ exact / len(exact))
    torch.testing.assert_close(summed.mean, direct.mean)
    torch.testing.assert_close(summed.transform, direct.transform, rtol=1e-9, atol=1e-9)


def test_moments_file__of_one_vector_shapes_nothing() -> None:
    one = ConsensusMoments(
        Group(1, bytes(8 * DIMENSIONS)), Group(0, b""), bytes(4 * DIMENSIONS * (DIMENSIONS + 1))
    )
    assert moments_from(encode(one)) == one
    mean = torch.zeros(DIMENSIONS, dtype=torch.float64)
    shaping = shaping_from_moments(mean, torch.zeros(DIMENSIONS, DIMENSIONS, dtype=torch.float64))
    assert torch.equal(shaping.transform, torch.eye(DIMENSIONS, dtype=torch.float64))
