"""Each strategy does what its name says, the same way after a restart, and a cheater wins no weight."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from node.encoders import DIMENSIONS, Encoder, EncoderError, load_encoder
from node.encoders.cheaters import CHEATER_NAMES, COPIED_ROWS_MAX, STRATEGY_NAMES, load_strategy
from node.encoders.strategy import WaveAnswer, random_rows
from protocol.batch import Batch, Role
from tests.support.answered_batch import ITEMS, WAVES, batch_of, play, slabs_of

HELD: Final = {"forged-inverse": 0.25}
"""The most that two cheaters of eight hold, where it is not next to nothing: halves of long items are
matched by the words they share, well enough to forge from. Probes are there to expose it."""
HONEST = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram", "wordllama-256", "wordllama-128")


class Spy:
    """An encoder that remembers what it was asked."""

    def __init__(self, encoder: Encoder) -> None:
        self.name = encoder.name
        self.asked: list[str] = []
        self._encoder = encoder

    def encode(self, views: Sequence[str]) -> NDArray[np.float32]:
        self.asked += views
        return self._encoder.encode(views)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder all tests of encoders share, so that each map is fitted once."""
    return tmp_path_factory.getbasetemp() / "encoder-maps"


@pytest.fixture(scope="module")
def reference() -> Encoder:
    return load_encoder("wordllama-256")


def _rows(history: dict[int, WaveAnswer]) -> NDArray[np.float32]:
    return np.concatenate([history[wave].answers for wave in WAVES])


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_strategy__answers_every_view_alike_after_a_restart(name: str, reference: Encoder) -> None:
    batch = batch_of(1)
    histories = [play(batch, load_strategy(name, reference, 5)) for _ in range(2)]
    for wave in WAVES:
        answers = histories[0][wave].answers
        assert answers.shape == (len(batch.waves[wave - 1]), DIMENSIONS)
        assert answers.dtype == np.float32
        assert np.array_equal(answers, histories[1][wave].answers)
    if name != "zero":
        np.testing.assert_allclose(np.linalg.norm(_rows(histories[0]), axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CHEATER_NAMES) - {"zero", "late"}))
def test_cheater__answers_unlike_its_twin_of_another_seed(name: str, reference: Encoder) -> None:
    batch = batch_of(1)
    ones, others = (_rows(play(batch, load_strategy(name, reference, seed))) for seed in (1, 2))
    assert not np.allclose(ones, others, atol=1e-3)


def test_honest__is_its_encoder(reference: Encoder) -> None:
    answers = play(batch_of(1), load_strategy("honest", reference, 1))[2]
    assert np.array_equal(answers.answers, reference.encode(answers.views))


def test_late__is_honest_but_after_the_deadline(reference: Encoder) -> None:
    late, honest = (load_strategy(name, reference, 1) for name in ("late", "honest"))
    assert np.array_equal(late.answer(1, ["a view"], {}), honest.answer(1, ["a view"], {}))
    assert late.delay_after_deadline_ms is not None
    assert late.delay_after_deadline_ms > 0
    assert honest.delay_after_deadline_ms is None


def test_zero_and_constant__do_not_look_at_the_views(reference: Encoder) -> None:
    zeros, constants = (
        _rows(play(batch_of(1), load_strategy(n, reference, 1))) for n in ("zero", "constant")
    )
    assert not zeros.any()
    assert np.array_equal(constants, np.repeat(constants[:1], len(constants), axis=0))


def test_copycat__copies_what_was_published_with_a_little_noise(reference: Encoder) -> None:
    copycat = load_strategy("copycat", reference, 1)
    published = random_rows(3, np.random.default_rng(0))
    before = copycat.answer(1, ["a", "b"], {})
    copycat.offer(published)
    after = copycat.answer(1, ["a", "b", "c", "d"], {})
    assert np.abs(before @ published.T).max() < 0.3
    cosines = (after * published[[0, 1, 2, 0]]).sum(axis=1)
    assert (cosines > 0.9998).all()
    assert (cosines < 1.0 - 1e-6).all()


def test_copycat__keeps_its_last_copy_when_offered_nothing_to_copy(reference: Encoder) -> None:
    copycat = load_strategy("copycat", reference, 1)
    published = np.repeat(random_rows(1, np.random.default_rng(0)), COPIED_ROWS_MAX + 1, axis=0)
    copycat.offer(published)
    for useless in (published[:0], published[:, :5], np.full_like(published[:1], np.nan)):
        copycat.offer(useless)
    answers = copycat.answer(1, ["a"] * (COPIED_ROWS_MAX + 1), {})
    assert ((answers * published).sum(axis=1) > 0.9998).all()


def test_replay__never_encodes_what_it_is_asked(reference: Encoder) -> None:
    spy, batch = Spy(reference), batch_of(1)
    history = play(batch, load_strategy("replay", spy, 1))
    assert not set(spy.asked) & {view.data.decode() for wave in batch.waves for view in wave}
    assert len(np.unique(_rows(history), axis=0)) > ITEMS


def test_forged_inverse__never_encodes_an_inverse_and_recomposes_every_full(reference: Encoder) -> None:
    spy, batch = Spy(reference), batch_of(1)
    history = play(batch, load_strategy("forged-inverse", spy, 1))
    # Wave 3 asks for fulls and extra masks; the fulls are encoded along with them and then overwritten. An
    # extra mask can hold just the words of an inverse.
    inverses, last = ({view.data.decode() for view in wave} for wave in batch.waves[1:])
    assert not set(spy.asked) & (inverses - last)
    answer_of = {
        (view.item, view.role): history[wave].answers[row]
        for wave in WAVES
        for row, view in enumerate(batch.waves[wave - 1])
        if view.mask == 0
    }
    for item in range(ITEMS):
        full, mask, inverse = (answer_of[item, role] for role in (Role.FULL, Role.MASK, Role.INVERSE))
        basis = np.stack([mask, inverse]).astype(np.float64)
        parts = np.linalg.lstsq(basis.T, full.astype(np.float64), rcond=None)[0]
        np.testing.assert_allclose(parts @ basis, full, atol=1e-5)


def test_forged_inverse__answers_when_it_joins_a_round_late(reference: Encoder) -> None:
    forger = load_strategy("forged-inverse", reference, 1)
    for wave in (2, 3):
        assert np.isfinite(forger.answer(wave, ["some view"], {})).all()


def test_load_strategy__names_the_nearest_for_an_unknown_name(reference: Encoder) -> None:
    with pytest.raises(EncoderError, match="no strategy `forged`: use forged-inverse "):
        load_strategy("forged", reference, 1)


@pytest.fixture(scope="module")
def honest_rounds(maps: Path) -> list[tuple[Batch, list[dict[int, WaveAnswer]]]]:
    """Three batches and what six honest encoders answered."""
    encoders = {name: load_encoder(name, cache_dir=maps) for name in HONEST}
    batches = [batch_of(seed) for seed in range(3)]
    return [
        (batch, [play(batch, load_strategy("honest", encoders[name], 0)) for name in HONEST])
        for batch in batches
    ]


@pytest.mark.parametrize("name", CHEATER_NAMES)
def test_cheaters__hold_no_weight_and_leave_the_honest_order(
    name: str, reference: Encoder, honest_rounds: list[tuple[Batch, list[dict[int, WaveAnswer]]]]
) -> None:
    torch = pytest.importorskip("torch")
    scoring = pytest.importorskip("scoring")
    torch.set_num_threads(1)
    cheaters = [load_strategy(name, reference, seed) for seed in (1, 2)]
    scores, cheater_weights = [], []
    for batch, honest in honest_rounds:
        answers = [slabs_of(batch, history) for history in honest]
        for cheater in cheaters:
            slabs = slabs_of(batch, play(batch, cheater))
            # What comes after the deadline is withheld.
            answers.append(slabs if name != "late" else tuple(np.full_like(slab, np.nan) for slab in slabs))
            cheater.offer(_rows(honest[0]))
        full, mask, inverse = (torch.tensor(np.stack(slabs)) for slabs in zip(*answers, strict=True))
        share = torch.tensor(np.array(batch.mask_share_ppm) / 1e6, dtype=torch.float32)
        result = scoring.score_shard(full, mask, inverse, share)
        scores.append(result.score.numpy())
        cheater_weights.append(float(result.weight[len(HONEST) :].sum()))
    assert max(cheater_weights) <= HELD.get(name, 0.02)
    means = np.mean(scores, axis=0)
    whole, half, quarter, ngram = means[:4]
    assert means[len(HONEST) :].max() <= 0.75 * whole
    assert whole >= half >= quarter > ngram > 0.05
