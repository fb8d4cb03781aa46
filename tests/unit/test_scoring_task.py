"""Scoring a task: where every answer goes, what counts as withheld, how deviations are measured."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from node.scoring_task import (
    INCOMPARABLE_PPM,
    ScoringTaskError,
    answer_slab,
    compare_task,
    deviations,
    score_task,
    vector_deviations,
)
from protocol.batch import PPM, PROBES, Role, plan_batch
from protocol.codec import encode
from protocol.epochs.learnt import STEPS_PER_UNIT, EncoderMeans
from protocol.epochs.record import NOTHING
from protocol.hashing import content_digest
from protocol.items import canonical_text
from protocol.report import DIMENSIONS, VECTOR_BYTES, ScoredShard, ScoreTask, Term
from protocol.schedule import ShardRound
from scoring import HARDENED, score_shard
from scoring.probes import ProbeTerms
from tests.support.certified_round import ITEMS, Fault, bag_of_words, certified_round, topical_items
from tests.support.memory_network import Blobs

ENCODERS = 5
SERVED = [canonical_text("too short to mask"), canonical_text("and another")]


def make_task(masks: int, withheld: tuple[int, ...] = (), scale: float = 1.0) -> tuple[ScoreTask, Blobs]:
    """A batch with two items that are not masked; `scale` stretches encoder 0's first answer to wave 3."""
    batch = plan_batch(bytes(32), topical_items("task", ITEMS), SERVED, masks)
    blobs: Blobs = {}
    answers: list[tuple[bytes, bytes, bytes] | None] = []
    for number in range(ENCODERS):
        encode = bag_of_words(bytes([number]))
        data = [encode(1, [view.data.decode() for view in wave]) for wave in batch.waves]
        if number == 0:
            first = np.frombuffer(data[2][:VECTOR_BYTES], "<f4") * np.float32(scale)
            data[2] = first.astype("<f4").tobytes() + data[2][VECTOR_BYTES:]
        first_wave, second_wave, third_wave = (content_digest(one) for one in data)
        blobs |= dict(zip((first_wave, second_wave, third_wave), data, strict=True))
        answers.append(None if number in withheld else (first_wave, second_wave, third_wave))
    keys = tuple(bytes([number]) * 32 for number in range(ENCODERS))
    return ScoreTask(
        ShardRound(0, 0, 0), HARDENED.name, keys, tuple(answers), batch, (False,) * len(keys), NOTHING
    ), blobs


def floats(data: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(data, "<f8")


def with_value(data: bytes, index: int, value: float) -> bytes:
    changed = floats(data).copy()
    changed[index] = value
    return changed.tobytes()


@pytest.mark.parametrize("masks", [1, 2, 3])
def test_slab__holds_every_answer_where_its_view_belongs_and_nan_elsewhere(masks: int) -> None:
    task, blobs = make_task(masks, withheld=(3,))
    slab = answer_slab(task, blobs.get)
    roles, probes = 1 + 2 * masks, [view for view in task.batch.waves[2] if view.role in PROBES]
    assert slab.shape == (ENCODERS, (ITEMS + 2) * roles + len(probes), DIMENSIONS)
    expected = np.full_like(slab, np.nan)
    first = {Role.FULL: 0, Role.MASK: 1, Role.INVERSE: 1 + masks}
    for encoder, names in enumerate(task.answers):
        for name, wave in zip(names or (), task.batch.waves, strict=False):
            for place, view in enumerate(wave):
                row = blobs[name][place * VECTOR_BYTES : (place + 1) * VECTOR_BYTES]
                at = (
                    (ITEMS + 2) * roles + probes.index(view)
                    if view in probes
                    else view.item * roles + first[view.role] + view.mask
                )
                expected[encoder, at] = np.frombuffer(row, "<f4")
    assert slab.tobytes() == expected.tobytes()
    assert np.isnan(slab[3]).all()


def test_slab__lands_in_the_memory_it_is_given_and_is_not_copied_again() -> None:
    task, blobs = make_task(2)
    made: list[npt.NDArray[np.float32]] = []

    def allocate(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        made.append(np.zeros(shape, np.float32))
        return made[-1]

    slab = answer_slab(task, blobs.get, allocate=allocate)
    assert slab.ctypes.data == made[0].ctypes.data
    views = torch.from_numpy(slab)[:, : (ITEMS + 2) * 5].unflatten(1, (ITEMS + 2, 5))
    assert views[:, :, 1:3].float().data_ptr() == slab[:, 1:].ctypes.data


def test_score_task__is_score_shard_on_the_views_by_role() -> None:
    task, blobs = make_task(2)
    slab = torch.from_numpy(answer_slab(task, blobs.get))
    slab = slab[:, : (ITEMS + 2) * 5].unflatten(1, (ITEMS + 2, 5))
    share = torch.tensor([list(shares) or [0, 0] for shares in task.batch.mask_share_ppm]) / PPM
    scored = torch.tensor(task.batch.scored)
    direct = score_shard(slab[:, :, 0], slab[:, :, 1:3], slab[:, :, 3:], share, HARDENED, scored=scored)
    ours = score_task(task, blobs.get)
    assert floats(ours.score).min() > 0.5
    np.testing.assert_array_equal(floats(ours.score), direct.score.numpy())
    np.testing.assert_array_equal(floats(ours.weight), direct.weight.numpy())
    np.testing.assert_array_equal(np.frombuffer(ours.consensus, "<f4"), direct.consensus.numpy().reshape(-1))
    assert [term.name for term in ours.terms] == sorted([*direct.terms, *ProbeTerms._fields])
    assert len(ours.valid) == ENCODERS * (ITEMS + 2)
    assert set(ours.valid) <= {0, 1}


def test_withheld_encoder__is_invalid_everywhere_and_weighs_nothing() -> None:
    task, blobs = make_task(1, withheld=(2,))
    ours = score_task(task, blobs.get)
    valid = np.frombuffer(ours.valid, np.uint8).reshape(ENCODERS, -1)
    assert not valid[2].any()
    assert valid[[0, 1, 3, 4]].all()
    assert floats(ours.weight)[2] == 0.0
    assert math.isclose(floats(ours.weight).sum(), 1.0)


def test_missing_or_cut_answers__are_our_own_failure_and_no_zeros() -> None:
    task, blobs = make_task(1)
    assert task.answers[1] is not None
    name = task.answers[1][0]
    with pytest.raises(ScoringTaskError, match="not here: fetch"):
        score_task(task, {key: data for key, data in blobs.items() if key != name}.get)
    with pytest.raises(ScoringTaskError, match="bytes where"):
        score_task(task, (blobs | {name: blobs[name][:-4]}).get)


def test_honest_claim__deviates_nowhere() -> None:
    task, blobs = make_task(2, withheld=(4,))
    found = compare_task(task, blobs.get, score_task(task, blobs.get))
    assert {deviation.difference_ppm for deviation in found} == {0}
    names = [deviation.term for deviation in found]
    assert len(names) == len(set(names))
    assert {"valid", "score", "weight", "consensus", "discrimination", "local_outlier_factor"} <= set(names)


def lie(claim: ScoredShard, term: str, encoder: int) -> ScoredShard:
    """The claim with 0.01 added to one number."""
    if term in ("score", "weight"):
        values = getattr(claim, term)
        changed = with_value(values, encoder, floats(values)[encoder] + 0.01)
        return msgspec.structs.replace(claim, **{term: changed})
    terms = tuple(
        Term(one.name, with_value(one.values, encoder, floats(one.values)[encoder] + 0.01))
        if one.name == term
        else one
        for one in claim.terms
    )
    return msgspec.structs.replace(claim, terms=terms)


@pytest.mark.parametrize(
    "term", ["score", "weight", "availability", "discrimination", "leak", "mass", "local_outlier_factor_ramp"]
)
@pytest.mark.parametrize("encoder", [0, 3])
def test_changed_number__is_named_with_its_encoder(term: str, encoder: int) -> None:
    task = certified_round().task
    blobs, claim = certified_round().blobs, certified_round().body.scores
    found = compare_task(task, blobs.get, lie(claim, term, encoder))
    (off,) = [deviation for deviation in found if deviation.difference_ppm > 100]
    assert (off.term, off.encoder) == (term, task.encoders[encoder])
    assert 4_000 < off.difference_ppm <= 10_000


def test_turned_consensus__is_seen_though_no_coordinate_moved_by_the_tolerance() -> None:
    honest = certified_round()
    vectors = np.frombuffer(honest.body.scores.consensus, "<f4").reshape(-1, DIMENSIONS).copy()
    vectors[7] += np.float32(0.0005)
    claim = msgspec.structs.replace(honest.body.scores, consensus=vectors.tobytes())
    found = compare_task(honest.task, honest.blobs.get, claim)
    (off,) = [deviation for deviation in found if deviation.difference_ppm]
    assert off.term == "consensus"
    assert off.difference_ppm > 5_000


def test_missing_and_extra_terms__cannot_be_compared() -> None:
    honest = certified_round()
    (*kept, last), extra = honest.body.scores.terms, Term("beauty", bytes(8 * 4))
    claim = msgspec.structs.replace(honest.body.scores, terms=(*kept, extra))
    found = compare_task(honest.task, honest.blobs.get, claim)
    off = {deviation.term: deviation.difference_ppm for deviation in found if deviation.difference_ppm}
    assert off == {"beauty": INCOMPARABLE_PPM, last.name: INCOMPARABLE_PPM}


@pytest.mark.parametrize("field", ["valid", "score", "weight", "consensus"])
def test_claim_of_another_shape__is_refused_before_scoring(field: str) -> None:
    honest = certified_round()
    claim = msgspec.structs.replace(
        honest.body.scores, **{field: getattr(honest.body.scores, field) + bytes(8)}
    )
    with pytest.raises(ScoringTaskError, match=f"claimed {field} has"):
        compare_task(honest.task, honest.blobs.get, claim)


def flip_valid(claim: ScoredShard, place: int) -> bytes:
    changed = bytearray(claim.valid)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("side", [-1, 1])
def test_borderline_answer__is_valid_or_not_as_the_dealer_decided(side: int) -> None:
    # The rule's largest norm is 2, its tolerance 1e-4.
    task, blobs = make_task(1, scale=2 + side * 5e-5)
    ours = score_task(task, blobs.get)
    place = task.batch.waves[2][0].item  # of encoder 0
    assert ours.valid[place] == (side < 0)
    dealer = score_task(task, blobs.get, valid=flip_valid(ours, place))
    assert dealer.valid == flip_valid(ours, place)
    assert {deviation.difference_ppm for deviation in compare_task(task, blobs.get, dealer)} == {0}


def test_mask_that_differs_off_the_border__is_a_deviation_of_one() -> None:
    task, blobs = make_task(1)
    ours = score_task(task, blobs.get)
    place = 2 * (ITEMS + 2) + 5
    dealer = score_task(task, blobs.get, valid=flip_valid(ours, place))
    found = compare_task(task, blobs.get, dealer)
    assert [(d.term, d.encoder, d.difference_ppm) for d in found if d.difference_ppm] == [
        ("valid", task.encoders[2], PPM)
    ]


def test_answer_that_is_not_a_number__cannot_be_made_valid_by_a_dealer() -> None:
    honest = certified_round(fault=Fault.NAN)
    claim = honest.body.scores
    assert 0 in claim.valid
    forged = msgspec.structs.replace(claim, valid=bytes([1]) * len(claim.valid))
    found = compare_task(honest.task, honest.blobs.get, forged)
    assert max(found, key=lambda d: d.difference_ppm).term == "valid"


def test_unknown_rule__is_refused() -> None:
    task, blobs = make_task(1)
    with pytest.raises(ValueError, match="no scoring rule"):
        score_task(replace(task, rule="softened"), blobs.get)


ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), min_size=1, max_size=20))
def test_deviation__is_zero_for_equals_infinite_for_one_sided_and_bounded_by_its_formula(
    pairs: list[tuple[float, float]],
) -> None:
    ours, claimed = (np.array(side) for side in zip(*pairs, strict=True))
    for a, b, apart in zip(ours, claimed, deviations(ours, claimed), strict=True):
        if a == b or (math.isnan(a) and math.isnan(b)):
            assert apart == 0
        elif not (math.isfinite(a) and math.isfinite(b)):
            assert apart == math.inf
        else:
            assert apart == abs(float(a) - float(b)) / (1 + abs(float(b)))


@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), st.integers(0, 3))
def test_vector_deviation__is_infinite_when_one_coordinate_is_nan_on_one_side(
    row: list[float], at: int
) -> None:
    ours = np.array([row], np.float32)
    claimed = ours.copy()
    assert vector_deviations(ours, claimed)[0] == 0
    claimed[0, at] = np.nan
    assert vector_deviations(ours, claimed)[0] == math.inf
    assert vector_deviations(claimed, claimed.copy())[0] == 0


@pytest.mark.parametrize("module", ["node.scoring_task", "node.bundle", "node.verify"])
def test_import__leaves_torch_alone(module: str) -> None:
    code = f"import sys, {module}; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def leaking_task() -> tuple[ScoreTask, Blobs]:
    """Encoder 0 mixes its full views into the answers to mask 0 and its inverse, knowing them beforehand."""
    task, blobs = make_task(2)
    own = task.answers[0]
    assert own is not None
    waves = task.batch.waves
    rows = [np.frombuffer(blobs[name], "<f4").reshape(-1, DIMENSIONS).copy() for name in own]
    full = {view.item: rows[2][at] for at, view in enumerate(waves[2]) if view.role is Role.FULL}
    for wave in (0, 1):
        for at, view in enumerate(waves[wave]):
            mixed = rows[wave][at] + full[view.item]
            rows[wave][at] = mixed / np.linalg.norm(mixed)
    first, second, third = (row.tobytes() for row in rows)
    names = (content_digest(first), content_digest(second), content_digest(third))
    blobs |= dict(zip(names, (first, second, third), strict=True))
    return replace(task, answers=(names, *task.answers[1:])), blobs


def test_probes__show_in_the_report_who_knew_the_full_views() -> None:
    task, blobs = leaking_task()
    terms = {term.name: floats(term.values) for term in score_task(task, blobs.get).terms}
    assert list(terms["probes"]) == [len(task.batch.probes)] * ENCODERS == [4] * ENCODERS
    assert terms["bent"][0] > 3
    assert terms["leaning"][0] > 3
    assert terms["bent"][1:].max() < 1
    assert terms["pull"][0] > terms["pull"][1:].max() + 0.3


@pytest.mark.parametrize("name", ["probes", "bent", "leaning", "pull"])
def test_dealer_that_hides_a_bent_probe__is_contradicted(name: str) -> None:
    task, blobs = leaking_task()
    honest = score_task(task, blobs.get)
    assert max(one.difference_ppm for one in compare_task(task, blobs.get, honest)) == 0
    hidden = [
        msgspec.structs.replace(term, values=with_value(term.values, 0, 0.0)) if term.name == name else term
        for term in honest.terms
    ]
    lied = msgspec.structs.replace(honest, terms=tuple(hidden))
    found = {one.term: one for one in compare_task(task, blobs.get, lied)}
    assert found[name].difference_ppm > 100_000
    assert found[name].encoder == task.encoders[0]


def test_withheld_encoder__has_no_probes_against_it() -> None:
    task, blobs = make_task(2, withheld=(3,))
    terms = {term.name: floats(term.values) for term in score_task(task, blobs.get).terms}
    assert [terms[name][3] for name in ("probes", "bent", "leaning", "pull")] == [0, 0, 0, 0]


def with_means(
    task: ScoreTask, blobs: Blobs, rows: dict[bytes, npt.NDArray[np.int16]]
) -> tuple[ScoreTask, Blobs]:
    data = b"".join(row.astype("<i2").tobytes() for row in rows.values())
    means = encode(EncoderMeans(tuple(rows), data))
    return replace(task, means=content_digest(means)), blobs | {content_digest(means): means}


def test_means_of_the_record__are_what_answers_are_centred_on() -> None:
    task, blobs = make_task(1)
    plain = score_task(task, blobs.get)
    own = np.frombuffer(plain.means, "<f4").reshape(ENCODERS, DIMENSIONS)
    steps = np.rint(own * STEPS_PER_UNIT).astype(np.int16)
    known = dict(zip(task.encoders, steps, strict=True))
    centred = score_task(*_asked(with_means(task, blobs, known)))
    # The shard's own means in whole steps: the scores hardly move, and the consensus has lost its mean.
    np.testing.assert_allclose(floats(centred.score), floats(plain.score), atol=1e-3)
    assert plain.means == centred.means
    raw, vectors = (np.frombuffer(one.consensus, "<f4").reshape(-1, DIMENSIONS) for one in (plain, centred))
    assert np.linalg.norm(vectors.mean(0)) < 0.5 * np.linalg.norm(raw.mean(0))

    other = dict(known)
    other[task.encoders[0]] = -steps[0]
    moved = score_task(*_asked(with_means(task, blobs, other)))
    assert floats(moved.score)[0] < floats(centred.score)[0]

    newcomer = {key: row for key, row in known.items() if key != task.encoders[0]}
    alike = score_task(*_asked(with_means(task, blobs, newcomer)))
    np.testing.assert_allclose(floats(alike.score), floats(centred.score), atol=1e-3)


def test_means_of_the_record__missing_or_of_another_size_are_our_own_failure() -> None:
    task, blobs = make_task(1)
    known, full = with_means(task, blobs, {task.encoders[0]: np.zeros(DIMENSIONS, np.int16)})
    with pytest.raises(ScoringTaskError, match="means of this epoch are not here"):
        score_task(known, blobs.get)
    short, blobs = with_means(task, blobs, {task.encoders[0]: np.zeros(8, np.int16)})
    with pytest.raises(ScoringTaskError, match="do not have 1024 dimensions"):
        score_task(short, blobs.get)
    with pytest.raises(ScoringTaskError, match="cannot be read"):
        score_task(replace(known, means=content_digest(b"?")), (full | {content_digest(b"?"): b"?"}).get)


def test_false_mean__is_told_with_its_encoder() -> None:
    task, blobs = make_task(1)
    claim = score_task(task, blobs.get)
    rows = np.frombuffer(claim.means, "<f4").reshape(ENCODERS, DIMENSIONS).copy()
    rows[3, 7] += 0.1
    found = compare_task(task, blobs.get, msgspec.structs.replace(claim, means=rows.tobytes()))
    worst = max(found, key=lambda deviation: deviation.difference_ppm)
    assert (worst.term, worst.encoder) == ("means", task.encoders[3])
    assert worst.difference_ppm > 50_000


def _asked(asked: tuple[ScoreTask, Blobs]) -> tuple[ScoreTask, Callable[[bytes], bytes | None]]:
    task, blobs = asked
    return task, blobs.get
