"""What a validator's store makes of certified rounds: learnt, kept, fetched, pruned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from node.epochs.learning import mean_steps
from node.epochs.learnt_blobs import EPOCHS_KEPT, learnt_of
from node.network.errors import FetchError
from protocol.epochs.learnt import LearntError, moments_from, named_in
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.hashing import content_digest
from protocol.rounds.events import InputsChecked, InputsRefused
from tests.support.learning_desk import LearningDesk, honest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class Fetching:
    """Who has the blobs somebody else made."""

    def __init__(self, blobs: dict[bytes, bytes]) -> None:
        self.blobs = blobs
        self.asked: list[bytes] = []

    async def fetch(self, digest: bytes, size_bytes: int, sources: Sequence[bytes]) -> bytes:
        self.asked.append(digest)
        if digest not in self.blobs:
            raise FetchError(digest, ("not here",))
        assert len(self.blobs[digest]) == size_bytes
        return self.blobs[digest]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[LearningDesk]:
    desk = LearningDesk(tmp_path)
    yield desk
    desk.store.close()


async def test_gathered_record__names_means_and_moments_that_are_kept(here: LearningDesk) -> None:
    record = (await here.gathered()).epoch.record
    learnt = learnt_of(here.store, record)
    assert [(content_digest(data), len(data)) for data in learnt] == named_in(record)
    assert sorted(mean_steps(learnt.means)) == sorted(honest().task.encoders)
    assert moments_from(learnt.moments).uncentred.rows == len(honest().task.batch.items)
    assert here.store.kept_blobs() >= {record.means, record.moments}


async def test_two_validators__compute_the_same_record(here: LearningDesk, tmp_path: Path) -> None:
    other = LearningDesk(tmp_path / "other")
    found = await here.gathered()
    checked = await other.desk.check(2, found.data, vouched=False)
    assert isinstance(checked, InputsChecked)
    assert checked.epoch.digest == found.epoch.digest
    assert learnt_of(other.store, checked.epoch.record) == learnt_of(here.store, found.epoch.record)
    other.store.close()


async def test_missing_report__is_no_ground_for_a_vote(here: LearningDesk, tmp_path: Path) -> None:
    without = LearningDesk(tmp_path / "without", body=False)
    found = await here.gathered()
    refused = await without.desk.check(2, found.data, vouched=False)
    assert isinstance(refused, InputsRefused)
    assert refused.reason == "the report of round 0 is not here"
    assert await without.desk.gather(2) is None
    without.store.close()


async def test_means__are_fetched_by_who_was_told_of_the_record(here: LearningDesk, tmp_path: Path) -> None:
    found = await here.gathered()
    blobs = {content_digest(data): data for data in learnt_of(here.store, found.epoch.record)}
    late = LearningDesk(tmp_path / "late")
    late.epochs.add(found.epoch)
    liar, peer = Fetching({}), Fetching(blobs)
    await late.learnt.complete(liar, bytes(32))  # type: ignore[arg-type]
    with pytest.raises(LearntError, match="let the node catch up"):
        learnt_of(late.store, found.epoch.record)
    await late.learnt.complete(peer, bytes(32))  # type: ignore[arg-type]
    assert learnt_of(late.store, found.epoch.record) == learnt_of(here.store, found.epoch.record)
    assert set(peer.asked) == set(blobs)
    await late.learnt.complete(peer, bytes(32))  # type: ignore[arg-type]
    assert len(peer.asked) == len(blobs)  # what is here is not asked for again
    late.store.close()


async def test_means__go_with_their_epoch_and_not_before(here: LearningDesk) -> None:
    record = (await here.gathered()).epoch.record
    length = here.epochs.genesis.parameters.epoch_rounds
    while here.epochs.newest.number < EPOCHS_KEPT + 2:
        number = here.epochs.newest.number
        if number == EPOCHS_KEPT + 1:
            here.store.prune_rounds(10**6, here.learnt.kept_from(10**6))
            assert here.store.blobs.has(record.means)  # of epoch 2: the oldest that is kept
            assert here.learnt.kept_from(10**6) == 2 * length
            assert here.learnt.kept_from(length) == length  # as long as the answers of its rounds are
        here.epochs.add(next_epoch(here.epochs.newest, here.epochs, no_inputs(number + 1), ()))
    here.store.prune_rounds(10**6, here.learnt.kept_from(10**6))
    assert not here.store.blobs.has(record.means)
    assert here.store.blobs.has(honest().header.body.body)
