"""What a validator brings to the agreement on the next epoch: read from its store, heard, and bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.epochs import desk as desk_module
from node.epochs.desk import EpochDesk
from node.epochs.learnt_blobs import LearntBlobs
from node.store import EvidenceRecord, RoundRecord, RoundState, Store, StoreError
from protocol.codec import decode, encode
from protocol.epochs.checking import CertifiedOutcome
from protocol.epochs.inputs import INPUTS_BYTES_MAX, EpochInputs
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import NOTHING_LEARNT, Learnt
from protocol.hashing import content_digest, digest
from protocol.messages import Exit, Prevote
from protocol.rounds.events import InputsChecked, InputsGathered, InputsRefused
from protocol.schedule import shard_round
from protocol.statement import parse
from tests.support.certified_history import open_store
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    conviction,
    leaving,
    newcomer,
    registration,
    say,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


class LearnsNothing(LearntBlobs):
    """The rounds here have no vectors."""

    def learn(self, *_: object, **__: object) -> Learnt:
        return NOTHING_LEARNT


def desk_of(epochs: Epochs, store: Store) -> EpochDesk:
    return EpochDesk(epochs, store, LearnsNothing(epochs, store))


def keep_rounds(store: Store, *certified: CertifiedOutcome) -> None:
    for one in certified:
        at = one.outcome.at
        store.record_round(
            RoundRecord(
                at.epoch,
                at.round,
                at.shard,
                RoundState.CERTIFIED,
                1,
                one.outcome.dealer,
                one.report,
                b"header",
                b"certificate",
                outcome=encode(one.outcome),
            )
        )


def one_epoch_on() -> Story:
    """In epoch 1: the next record takes up the rounds of epoch 0."""
    story = Story()
    story.go_on()
    return story


async def gathered(desk: EpochDesk, epoch: int) -> tuple[EpochInputs, InputsGathered]:
    found = await desk.gather(epoch)
    assert found is not None
    return decode(found.data, EpochInputs, size_bytes_max=INPUTS_BYTES_MAX), found


async def test_gathered_inputs__are_the_rounds_of_the_store_and_what_was_heard(store: Store) -> None:
    story = one_epoch_on()
    certified = story.certified()
    keep_rounds(store, *certified)
    desk = desk_of(story.epochs, store)
    heard = [
        registration(newcomer(0), 1),
        leaving(ENCODERS[0], 1),
        conviction(ENCODERS[1], 0),
    ]
    for statement in heard:
        desk.witness(statement)
    desk.witness(say(VALIDATORS[0], conviction(ENCODERS[2], 0).body))  # said by another, of another
    inputs, found = await gathered(desk, 2)
    assert [(ref.at, ref.report) for ref in inputs.rounds] == [
        (one.outcome.at, one.report) for one in certified
    ]
    assert (len(inputs.registrations), len(inputs.exits), len(inputs.evidence)) == (1, 1, 2)
    assert ENCODERS[0] not in found.epoch.encoders
    assert ENCODERS[1] not in found.epoch.encoders
    assert newcomer(0) in found.epoch.encoders


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mine=st.sets(st.integers(0, ROUNDS - 1)),
    theirs=st.sets(st.integers(0, ROUNDS - 1)),
    newcomers=st.sets(st.integers(0, 3)),
    vouched=st.booleans(),
)
async def test_inputs_of_another__are_accepted_where_they_name_what_is_certified_here(
    tmp_path_factory: pytest.TempPathFactory,
    mine: set[int],
    theirs: set[int],
    newcomers: set[int],
    vouched: bool,
) -> None:
    story = one_epoch_on()
    certified = story.certified()
    with open_store(tmp_path_factory.mktemp("a")) as a, open_store(tmp_path_factory.mktemp("b")) as b:
        keep_rounds(a, *(certified[one] for one in mine))
        keep_rounds(b, *(certified[one] for one in theirs))
        here, there = desk_of(story.epochs, a), desk_of(story.epochs, b)
        for number in newcomers:
            there.witness(registration(newcomer(number), 1))
        _, found = await gathered(there, 2)
        said = await here.check(2, found.data, vouched)
    if theirs <= mine and (vouched or mine <= theirs):
        assert isinstance(said, InputsChecked)
        assert said.epoch.digest == found.epoch.digest
    else:
        assert isinstance(said, InputsRefused)
        assert ("is not certified here" if theirs - mine else "they leave out") in said.reason
    assert said.digest == content_digest(found.data)


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_epoch_that_is_not_next__is_neither_gathered_nor_checked(store: Store, epoch: int) -> None:
    desk = desk_of(one_epoch_on().epochs, store)
    assert await desk.gather(epoch) is None
    refused = await desk.check(epoch, b"inputs", True)
    assert refused == InputsRefused(content_digest(b"inputs"), f"epoch {epoch} is not the next")


async def test_nonsense_for_inputs__is_refused_with_the_reason(store: Store) -> None:
    desk = desk_of(one_epoch_on().epochs, store)
    for data in (b"", b"nonsense", bytes(1000)):
        assert isinstance(await desk.check(2, data, True), InputsRefused)


async def test_first_epochs__take_up_no_rounds(store: Store) -> None:
    story = Story()
    keep_rounds(store, *one_epoch_on().certified())  # of epoch 0: they count for epoch 2
    inputs, _ = await gathered(desk_of(story.epochs, store), 1)
    assert inputs.rounds == ()


async def test_round_without_or_with_a_damaged_outcome__is_an_error_of_the_store(tmp_path: Path) -> None:
    story = one_epoch_on()
    for value, says in ((None, "older software: catch up again"), (b"\x00", "is damaged")):
        folder = tmp_path / says[:5]
        with open_store(folder) as store:
            keep_rounds(store, *story.certified())
        database = sqlite3.connect(folder / "store.sqlite")
        database.execute("UPDATE rounds SET outcome = ? WHERE round = 3", (value,))
        database.commit()
        database.close()
        with open_store(folder) as store:
            desk = desk_of(story.epochs, store)
            with pytest.raises(StoreError, match=f"round 3 .*{says}"):
                await desk.gather(2)
            with pytest.raises(StoreError, match=f"round 3 .*{says}"):
                await desk.check(2, b"inputs", False)


async def test_evidence_of_an_earlier_process__is_remembered_and_damaged_rows_are_not(store: Store) -> None:
    story = one_epoch_on()
    told = conviction(ENCODERS[0], 0)
    for number, data in enumerate((told.data, b"damaged")):
        store.put_evidence(EvidenceRecord(digest(f"{number}"), ENCODERS[0], "equivocation", data, number))
    inputs, _ = await gathered(desk_of(story.epochs, store), 2)
    assert inputs.evidence == (told.data,)


async def test_what_is_heard__is_bounded_and_the_newest_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "REGISTRATIONS_MAX", 3)
    monkeypatch.setattr(desk_module, "EVIDENCE_HEARD_MAX", 4)
    desk = desk_of(Story().epochs, store)
    for number in range(6):
        desk.witness(registration(newcomer(number), 0))
        desk.witness(leaving(ENCODERS[number], 0))
        desk.witness(conviction(ENCODERS[number], 0))
    inputs, _ = await gathered(desk, 1)
    assert len(inputs.registrations) == 3
    assert {parse(data, GENESIS.network_id).signer for data in inputs.registrations} == {
        newcomer(n) for n in (3, 4, 5)
    }
    assert len(inputs.exits) == 3
    assert len(inputs.evidence) == 4


async def test_other_statements__are_none_of_its_business(store: Store) -> None:
    desk = desk_of(Story().epochs, store)
    desk.witness(say(VALIDATORS[0], Exit(shard_round(GENESIS, 0, 0))))  # of a validator
    desk.witness(
        say(VALIDATORS[0], Prevote(shard_round(GENESIS, 3, 0), 1, digest("a record"), digest("inputs"), 9))
    )
    inputs, _ = await gathered(desk, 1)
    assert (inputs.exits, inputs.registrations, inputs.evidence) == ((), (), ())
