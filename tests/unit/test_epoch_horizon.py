"""How far back epochs reach: old evidence, and keys that were convicted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.epochs.checking import InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.horizon import CONVICTED_EPOCHS, EVIDENCE_EPOCHS, is_forgotten
from protocol.epochs.inputs import EpochInputs
from protocol.epochs.record import EVIDENCE_MAX, EncoderState
from protocol.genesis import MEMBERS_MAX
from tests.support.records import ENCODERS, GENESIS, ROUNDS, Story, conviction, newcomer, registration

NEW = newcomer(0)


def quiet(story: Story, epochs: int) -> None:
    """Epochs in which nobody was judged."""
    for _ in range(epochs):
        story.go_on(story.known(skip=range(ROUNDS)))


def state_of(story: Story, key: bytes) -> EncoderState | None:
    return story.states().get(key)  # type: ignore[return-value]


def convicted(key: bytes) -> Story:
    """A story in whose newest record the key has just lost its stake."""
    story = Story()
    story.go_on(story.known([registration(NEW, 0)]))
    story.go_on(story.known(evidence=[conviction(key, 1)]))
    found = state_of(story, key)
    assert found is not None
    assert (found.stake, found.silent_epochs) == (0, 0)
    return story


def test_convicted_key__is_named_for_so_many_records_and_then_needs_work_again() -> None:
    story = convicted(NEW)
    for since in range(1, CONVICTED_EPOCHS):
        again = registration(NEW, story.newest.number)
        story.go_on(story.known([again], skip=range(ROUNDS)))
        found = state_of(story, NEW)
        assert found is not None, since
        assert (found.stake, found.silent_epochs) == (0, since)
    quiet(story, 1)
    assert state_of(story, NEW) is None
    with_nothing = registration(NEW, story.newest.number, work=bytes(32))
    inputs, _ = gather_inputs(story.epochs, story.known([with_nothing]))
    assert inputs.registrations == ()
    story.go_on(story.known([registration(NEW, story.newest.number)], skip=range(ROUNDS)))
    found = state_of(story, NEW)
    assert found is not None
    assert (found.stake, found.shards_judged) == (GENESIS.parameters.registration_stake, 0)


def test_convicted_key_that_genesis_holds_stake_for__is_named_for_ever() -> None:
    story = convicted(ENCODERS[0])
    for _ in range(CONVICTED_EPOCHS + 4):
        again = registration(ENCODERS[0], story.newest.number, work=bytes(32))
        story.go_on(story.known([again], skip=range(ROUNDS)))
        found = state_of(story, ENCODERS[0])
        assert found is not None
        assert found.stake == 0
    assert found.silent_epochs == CONVICTED_EPOCHS


@settings(max_examples=30)
@given(since=st.integers(0, 3 * CONVICTED_EPOCHS), number=st.integers(0, len(ENCODERS)))
def test_only_who_owns_nothing_in_genesis__is_forgotten(since: int, number: int) -> None:
    key = [*ENCODERS, NEW][number]
    assert is_forgotten(GENESIS, key, since) == (key == NEW and since >= CONVICTED_EPOCHS)


@pytest.mark.parametrize("age", [EVIDENCE_EPOCHS, EVIDENCE_EPOCHS + 1])
def test_evidence_past_the_horizon__convicts_nobody(age: int) -> None:
    story = Story()
    quiet(story, age + 1)
    evidence = conviction(ENCODERS[0], 1)
    known = story.known(evidence=[evidence], skip=range(ROUNDS))
    inputs, _ = gather_inputs(story.epochs, known)
    told = EpochInputs(story.newest.number + 1, (), (), (), (), (evidence.data,))
    if age == EVIDENCE_EPOCHS:
        assert inputs.evidence == (evidence.data,)
        assert ENCODERS[0] not in check_inputs(story.epochs, encode(inputs), []).encoders
        return
    assert inputs.evidence == ()
    with pytest.raises(InputsError, match="about an epoch more than 8 before the newest"):
        check_inputs(story.epochs, encode(told), [])


def test_what_a_record_needs__is_in_the_tables_of_the_horizon() -> None:
    # A validator that dropped all older tables gathers and checks as one that kept them.
    story = Story()
    quiet(story, EVIDENCE_EPOCHS + 3)
    kept = range(story.newest.number - EVIDENCE_EPOCHS, story.newest.number + 1)
    evidence = [conviction(ENCODERS[0], story.newest.number - EVIDENCE_EPOCHS), conviction(ENCODERS[1], 1)]
    known = Known((), evidence=evidence)
    before, epoch = gather_inputs(story.epochs, known)
    late = story.epochs._late
    for number in [number for number in late if number not in kept]:
        del late[number]
    after, same = gather_inputs(story.epochs, known)
    assert (after, same.digest) == (before, epoch.digest)
    assert before.evidence == (evidence[0].data,)
    assert check_inputs(story.epochs, encode(before), []).digest == epoch.digest


def test_convicted_keys__fill_a_quarter_of_a_table_at_most() -> None:
    assert 4 * EVIDENCE_MAX * CONVICTED_EPOCHS <= MEMBERS_MAX
    assert EVIDENCE_EPOCHS < CONVICTED_EPOCHS  # or old evidence would convict who has come back
