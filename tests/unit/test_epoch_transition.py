"""From one record to the next: the same bytes everywhere; what the draws of an epoch come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import chain, combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.epochs.checking import Known, gather_inputs
from protocol.epochs.record import first_seed
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.epochs.view import Epoch
from protocol.schedule import (
    dealer_of,
    first_place,
    pool_block,
    shard_round,
)
from tests.support.cli import ROOT
from tests.support.epoch_vectors import digests_from
from tests.support.eventful import NEW, eventful, weak
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    conviction,
    leaving,
    outcome,
    registration,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "epochs.json"


def document_of(told: Story) -> dict[str, object]:
    """What the vectors hold."""
    rows = []
    for inputs, outcomes in zip(told.inputs, told.outcomes, strict=True):
        epoch = told.epochs.of(inputs.epoch)
        rows.append(
            {
                "inputs": encode(inputs).hex(),
                "outcomes": [encode(one).hex() for one in outcomes],
                "record": encode(epoch.record).hex(),
                "encoders": encode(epoch.table).hex(),
                "digest": epoch.digest.hex(),
            }
        )
    first = told.epochs.of(0).digest.hex()
    return {"genesis": GENESIS.data.hex(), "first_digest": first, "epochs": rows}


def test_vectors__give_the_same_records_on_any_machine() -> None:
    vectors = json.loads(VECTORS.read_text())
    assert digests_from(vectors) == [vectors["first_digest"], *(row["digest"] for row in vectors["epochs"])]
    assert document_of(eventful()) == vectors


def test_record__is_the_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "import json, sys; from tests.support.epoch_vectors import digests_from;"
        "print(digests_from(json.load(open(sys.argv[1])))[-1])"
    )
    vectors = json.loads(VECTORS.read_text())
    done = subprocess.run(
        [sys.executable, "-c", code, str(VECTORS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == vectors["epochs"][-1]["digest"]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_record__does_not_depend_on_the_order_in_which_things_were_heard(data: st.DataObject) -> None:
    told = Story()
    told.go_on()
    told.go_on()
    registrations = [registration(key, 2) for key in NEW]
    exits = [leaving(key, 2) for key in ENCODERS[:2]]
    evidence = [conviction(key, 1) for key in (*ENCODERS[2:4], VALIDATORS[0])]
    one = told.known(registrations, exits, evidence)
    other = Known(
        one.rounds, *(data.draw(st.permutations(heard)) for heard in (registrations, exits, evidence))
    )
    first, second = (gather_inputs(told.epochs, known) for known in (one, other))
    assert encode(first[0]) == encode(second[0])
    assert (first[1].digest, encode(first[1].table)) == (second[1].digest, encode(second[1].table))


def test_record__names_the_one_before_and_its_inputs_and_changes_with_them() -> None:
    told = eventful()
    for number in range(1, 7):
        epoch, before = told.epochs.of(number), told.epochs.of(number - 1)
        assert epoch.record.previous == before.digest
        assert epoch.record.epoch == number
    without = Story(row=weak)
    for _ in range(6):
        without.go_on()
    assert len({told.epochs.of(6).digest, without.epochs.of(6).digest}) == 2


def test_epoch_of_a_record__is_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    # What enters is not changed by computing with it.
    told = Story()
    told.go_on()
    before = encode(told.newest.record), encode(told.newest.table)
    one = gather_inputs(told.epochs, told.known([registration(NEW[0], 1)]))[1]
    two = gather_inputs(told.epochs, told.known([registration(NEW[0], 1)]))[1]
    assert (encode(told.newest.record), encode(told.newest.table)) == before
    assert isinstance(one, Epoch)
    assert one.digest == two.digest
    assert outcome(told.newest, first_place(told.newest)) == outcome(told.newest, first_place(told.newest))


# -- draws -------------------------------------------------------------------------------------------------


def test_blocks_dealt__are_those_counted_from_genesis() -> None:
    told = eventful()
    dealt: Counter[bytes] = Counter()
    for number in range(7):
        epoch = told.epochs.of(number)
        assert {key: state.blocks_dealt for key, state in epoch.states.items()} == {
            key: dealt[key] for key in VALIDATORS
        }
        for n in range(ROUNDS):
            at = shard_round(GENESIS, number * ROUNDS + n, 0)
            assert pool_block(epoch, at) == dealt[dealer_of(epoch, at)]
            dealt[dealer_of(epoch, at)] += 1


def test_seed__comes_from_the_preimages_two_epochs_before() -> None:
    told = Story()
    told.go_on()
    assert [told.epochs.of(number).seed for number in (0, 1)] == [
        first_seed(GENESIS.network_id, number) for number in (0, 1)
    ]
    one, _ = gather_inputs(told.epochs, told.known())
    outcomes = [one.outcome for one in told.known().rounds]
    seeds = {next_epoch(told.newest, told.epochs, one, outcomes).seed}
    for index, row in enumerate(outcomes):
        changed = msgspec.structs.replace(row, preimage=bytes(32))
        others = [*outcomes[:index], changed, *outcomes[index + 1 :]]
        seeds.add(next_epoch(told.newest, told.epochs, one, others).seed)
    assert len(seeds) == 1 + ROUNDS
    judged = [msgspec.structs.replace(row, score_ppm=(0,) * len(row.encoders)) for row in outcomes]
    assert next_epoch(told.newest, told.epochs, one, judged).seed in seeds  # scores choose nothing


@pytest.mark.parametrize("last", range(5))
def test_withholding__gives_who_deals_the_last_rounds_one_bit_for_each(last: int) -> None:
    # All other preimages are known by then, its own from the start: it may report any of its rounds or none.
    told = Story()
    told.go_on()
    own = range(ROUNDS - last, ROUNDS)
    choices = chain.from_iterable(combinations(own, count) for count in range(last + 1))
    seeds = {skipped: gather_inputs(told.epochs, told.known(skip=skipped))[1].seed for skipped in choices}
    assert len(set(seeds.values())) == 2**last
    # Each but the seed of an honest dealer costs it a round; two seeds cost one.
    assert [len(skipped) for skipped in seeds].count(0) == 1
    assert [len(skipped) for skipped in seeds].count(1) == last


def test_outcomes_in_another_order_than_the_inputs__are_a_fault_of_ours() -> None:
    told = Story()
    told.go_on()
    known = told.known()
    inputs, _ = gather_inputs(told.epochs, known)
    outcomes = [one.outcome for one in known.rounds]
    with pytest.raises(AssertionError):
        next_epoch(told.newest, told.epochs, inputs, outcomes[::-1])
    with pytest.raises(AssertionError):
        next_epoch(told.newest, told.epochs, no_inputs(2), outcomes)
