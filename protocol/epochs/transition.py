"""From the record of one epoch to that of the next: a pure function in integers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from protocol.bending import Bending, ProbeSigns, is_exposed, stepped
from protocol.codec import encode
from protocol.epochs.horizon import CONVICTED_EPOCHS, is_forgotten
from protocol.epochs.inputs import EpochInputs
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import NOTHING_LEARNT, Learnt
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.probation import EXPOSURES_MAX, shards_needed
from protocol.epochs.record import (
    NOTHING,
    EncoderState,
    EncoderTable,
    EpochRecord,
    first_seed,
)
from protocol.epochs.registration import stake_of
from protocol.epochs.stakes import next_stakes
from protocol.epochs.view import PPM, Epoch
from protocol.evidence import check_evidence
from protocol.genesis import MEMBERS_MAX
from protocol.hashing import content_digest, digest, uint
from protocol.messages import Evidence, StakeTransfer
from protocol.schedule import dealers_in
from protocol.statement import expect, parse


def next_epoch(
    members: Epoch,
    epochs: Epochs,
    inputs: EpochInputs,
    outcomes: Sequence[RoundOutcome],
    learnt: Learnt = NOTHING_LEARNT,
) -> Epoch:
    """The epoch after `members`, from inputs that were checked and the outcomes of the rounds they name.

    The same bytes on every machine. Outcomes are in the order of `inputs.rounds`; `learnt` is what follows
    from the vectors of these rounds and what was learnt before.
    """
    assert [ref.at for ref in inputs.rounds] == [outcome.at for outcome in outcomes]
    genesis = members.genesis
    convicted = {
        check_evidence(epochs, expect(data, genesis.network_id, Evidence).body) for data in inputs.evidence
    }
    transfers = [expect(one, genesis.network_id, StakeTransfer) for one in inputs.transfers]
    validating = {one.body.to for one in transfers}
    table = EncoderTable(tuple(_encoders(members, inputs, outcomes, convicted, validating)))
    data = encode(table)
    number = members.number + 1
    seed = _next_seed(members, number, outcomes)
    stakes = next_stakes(
        members,
        transfers,
        convicted,
        {state.public_key for state in table.encoders},
        dealers_in(members),
        seed,
    )
    record = EpochRecord(
        epoch=number,
        previous=members.digest,
        seed=seed,
        validators=stakes.validators,
        joined=stakes.joined,
        transfers=stakes.transfers,
        encoders=content_digest(data),
        encoders_bytes=len(data),
        inputs=content_digest(encode(inputs)),
        evidence=tuple(parse(data, genesis.network_id).digest for data in inputs.evidence),
        means=_name(learnt.means),
        means_bytes=len(learnt.means),
        moments=_name(learnt.moments),
        moments_bytes=len(learnt.moments),
    )
    return Epoch(genesis, record, table)


def no_inputs(epoch: int) -> EpochInputs:
    """The inputs of an epoch before which nothing happened."""
    return EpochInputs(epoch, (), (), (), (), ())


def _name(data: bytes) -> bytes:
    return content_digest(data) if data else NOTHING


def _next_seed(members: Epoch, number: int, outcomes: Iterable[RoundOutcome]) -> bytes:
    """The preimages revealed in an epoch seed the next but one: nobody knows them all while it can choose."""
    if number < 2:
        return first_seed(members.network_id, number)
    preimages = (outcome.preimage for outcome in outcomes)
    return digest("epoch-seed", members.network_id, uint(number), members.seed, *preimages)


def _encoders(
    members: Epoch,
    inputs: EpochInputs,
    outcomes: Sequence[RoundOutcome],
    convicted: set[bytes],
    validating: set[bytes],
) -> list[EncoderState]:
    genesis = members.genesis
    seen = _sightings(outcomes)
    leaving = {parse(data, genesis.network_id).signer for data in inputs.exits}
    rows: dict[bytes, EncoderState] = {}
    for state in members.table.encoders:
        key = state.public_key
        if key in convicted:
            rows[key] = msgspec.structs.replace(state, stake=0, weight_ppm=0, silent_epochs=0)
            continue
        if not state.stake:
            since = min(CONVICTED_EPOCHS, state.silent_epochs + 1)
            if not is_forgotten(genesis, key, since):
                rows[key] = msgspec.structs.replace(state, weight_ppm=0, silent_epochs=since)
            continue
        after = _judged(members, state, seen.get(key, ()))
        if key not in leaving and after.silent_epochs < members.parameters.silent_epochs_max:
            rows[key] = after
    newcomers = sorted(parse(data, genesis.network_id).signer for data in inputs.registrations)
    for key in newcomers:
        if key not in validating and key not in rows and len(rows) < MEMBERS_MAX:
            rows[key] = EncoderState(key, stake_of(genesis, key), 0, 0, 0, 0, Bending(), 0)
    return [rows[key] for key in sorted(rows)]


class Sighting(NamedTuple):
    """One encoder in one shard-round."""

    dealer: bytes
    revealed: bool
    score_ppm: int
    weight_ppm: int
    probes: ProbeSigns


def _sightings(outcomes: Iterable[RoundOutcome]) -> dict[bytes, list[Sighting]]:
    seen: dict[bytes, list[Sighting]] = defaultdict(list)
    for outcome in outcomes:
        for row, key in enumerate(outcome.encoders):
            seen[key].append(
                Sighting(
                    outcome.dealer,
                    outcome.revealed[row],
                    outcome.score_ppm[row],
                    outcome.weight_ppm[row],
                    outcome.probes[row],
                )
            )
    return seen


def _judged(members: Epoch, state: EncoderState, seen: Sequence[Sighting]) -> EncoderState:
    p = members.parameters
    revealed = sum(one.revealed for one in seen)
    bending = state.bending
    exposed = False
    for one in seen:
        bending = stepped(bending, one.probes)
        if is_exposed(bending):
            # What it was believed for, it could not have known: it begins anew, with no weight.
            bending, exposed = Bending(), True
    judged = min(shards_needed(p, state.exposures), state.shards_judged + revealed)
    reputation_ppm = _reputation(state.reputation_ppm, seen, p.reputation_half_life_epochs)
    return msgspec.structs.replace(
        state,
        shards_judged=0 if exposed else judged,
        reputation_ppm=0 if exposed else reputation_ppm,
        silent_epochs=0 if revealed else state.silent_epochs + bool(seen),
        weight_ppm=sum(one.weight_ppm for one in seen),
        bending=bending,
        exposures=min(EXPOSURES_MAX, state.exposures + exposed),
    )


def _reputation(before_ppm: int, seen: Sequence[Sighting], half_life_epochs: int) -> int:
    """The running average after one more epoch.

    One dealer of three or more can neither make nor ruin an encoder: what enters is the lower median over
    dealers of the mean score under each, and absence counts (as a score of 0) only when two dealers saw it.
    Of two dealers the lower mean enters, of one its own.
    """
    absent_under = {one.dealer for one in seen if not one.revealed}
    by_dealer: dict[bytes, list[int]] = defaultdict(list)
    for one in seen:
        if one.revealed or len(absent_under) > 1:
            by_dealer[one.dealer].append(one.score_ppm if one.revealed else 0)
    if not by_dealer:
        return before_ppm
    means = sorted(sum(scores) // len(scores) for scores in by_dealer.values())
    kept_ppm = decay_ppm(half_life_epochs)
    return (before_ppm * kept_ppm + means[(len(means) - 1) // 2] * (PPM - kept_ppm)) // PPM


@lru_cache(maxsize=16)
def decay_ppm(half_life_epochs: int) -> int:
    """What is left of a score's share after one epoch: 2 ** (-1 / half life), rounded down, exactly."""
    low, high = 0, PPM
    while high - low > 1:
        middle = (low + high) // 2
        if 2 * middle**half_life_epochs <= PPM**half_life_epochs:
            low = middle
        else:
            high = middle
    return low
