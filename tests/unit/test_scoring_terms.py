"""Each term of the score against the formula written out item by item."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.differential import differential, differential_literal, recomposed
from scoring.discrimination import blocks_of, discrimination
from scoring.distances import pairwise
from scoring.innovation import innovation
from scoring.leak import leak
from scoring.median import coordinate_median, sorting_network
from scoring.pair_median import median_distance
from scoring.projection import mean_over
from scoring.similarity import majority_similarity

torch.set_num_threads(1)

Array = np.ndarray


def units(seed: int, *shape: int) -> torch.Tensor:
    """Random unit rows."""
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=draw), dim=-1)


def flags(seed: int, *shape: int) -> torch.Tensor:
    """Mostly true flags."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.8


def hat(row: Array) -> Array:
    return np.asarray(row / np.linalg.norm(row))


def off(row: Array, axis: Array) -> Array:
    """Unit row without its part along a unit axis."""
    return hat(row - (row @ axis) * axis)


@pytest.mark.parametrize("count", range(1, 13))
def test_sorting_network__sorts_every_zero_one_input(count: int) -> None:
    # A network that sorts all inputs of zeros and ones sorts all inputs (Knuth, TAOCP 5.3.4, theorem Z).
    for bits in itertools.product((0, 1), repeat=count):
        wires = list(bits)
        for a, b in sorting_network(count):
            wires[a], wires[b] = min(wires[a], wires[b]), max(wires[a], wires[b])
        assert wires == sorted(bits)


@given(seed=st.integers(0, 2**31), count=st.integers(1, 17), items=st.integers(1, 6))
@settings(max_examples=40)
def test_coordinate_median__equals_numpy_over_present_rows(seed: int, count: int, items: int) -> None:
    rows, present = units(seed, count, items, 5), flags(seed, count, items)
    middle = coordinate_median(rows.transpose(0, 1), present.T).numpy()
    for i in range(items):
        here = rows[present[:, i], i].numpy()
        expected = np.median(here, axis=0) if len(here) else np.zeros(5)
        np.testing.assert_allclose(middle[i], expected, atol=1e-7)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 9))
@settings(max_examples=30)
def test_median_distance__equals_numpy_over_present_pairs(seed: int, count: int) -> None:
    rows, present = units(seed, 3, count, 4), flags(seed, 3, count)
    pairs = pairwise(rows, present)
    measured = median_distance(pairs.distance, pairs.both)
    for item in range(3):
        here = rows[item, present[item]].double().numpy()
        apart = [np.linalg.norm(a - b) for a, b in itertools.combinations(here, 2)]
        assert measured[item] == pytest.approx(np.median(apart) if apart else 0.0, abs=1e-5)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 9), majority=st.integers(1, 9))
@settings(max_examples=30)
def test_majority_similarity__is_the_kth_largest_cosine_with_missing_peers_at_zero(
    seed: int, count: int, majority: int
) -> None:
    rows, present = units(seed, 2, count, 4), flags(seed, 2, count)
    measured = majority_similarity(pairwise(rows, present), majority)
    for item, a in itertools.product(range(2), range(count)):
        if not present[item, a]:
            continue
        cosines = [
            float(rows[item, a] @ rows[item, b]) if present[item, b] else 0.0 for b in range(count) if b != a
        ]
        expected = sorted(cosines, reverse=True)[min(majority, count - 1) - 1]
        assert measured[item, a] == pytest.approx(expected, abs=1e-5)


@given(items=st.integers(1, 700), size=st.integers(2, 100))
def test_blocks_of__cover_all_items_once_and_only_the_last_is_larger(items: int, size: int) -> None:
    blocks = blocks_of(items, size)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(items))
    lengths = [block.stop - block.start for block in blocks]
    assert all(length == size for length in lengths[:-1])
    assert items < size or size <= lengths[-1] < 2 * size


def literal_discrimination(mask: Array, inverse: Array, counted: Array, size: int, least: int) -> float:
    losses: dict[float, list[float]] = {0.03: [], 0.05: [], 0.1: [], 0.2: []}
    for block in blocks_of(len(mask), size):
        some = [i for i in range(block.start, block.stop) if counted[i]]
        if len(some) < least:
            continue
        for tau, values in losses.items():
            for i in some:
                own = mask[i] @ inverse[i] / tau
                out = math.log(sum(math.exp(mask[i] @ inverse[j] / tau) for j in some)) - own
                back = math.log(sum(math.exp(mask[j] @ inverse[i] / tau) for j in some)) - own
                values.append((out + back) / 2 / math.log(len(some)))
    if not losses[0.03]:
        return 0.0
    return max(0.0, 1 - min(float(np.mean(values)) for values in losses.values()))


def cosines_of(mask: torch.Tensor, inverse: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Every mask with every inverse of its block: [N, I, D] twice -> [N, b, b] a block."""
    blocks = blocks_of(mask.shape[1], size)
    return [mask[:, block] @ inverse[:, block].transpose(1, 2) for block in blocks]


@pytest.mark.parametrize("kinship", [0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("items", [8, 21])
def test_discrimination__equals_the_formula_written_out(kinship: float, items: int) -> None:
    shared = units(1, 3, items, 16) * kinship
    mask = torch.nn.functional.normalize(units(2, 3, items, 16) + shared, dim=-1)
    inverse = torch.nn.functional.normalize(units(3, 3, items, 16) + shared, dim=-1)
    counted = flags(4, 3, items)
    measured = discrimination(
        cosines_of(mask, inverse, 8), counted, temperatures=(0.03, 0.05, 0.1, 0.2), block_items_min=4
    )
    for n in range(3):
        expected = literal_discrimination(
            mask[n].double().numpy(), inverse[n].double().numpy(), counted[n].numpy(), 8, 4
        )
        assert measured[n] == pytest.approx(expected, abs=1e-5)


def test_discrimination__encoder_without_a_large_enough_block_scores_zero() -> None:
    rows = units(5, 2, 16, 8)
    counted = torch.ones(2, 16, dtype=torch.bool)
    counted[1, 3:] = False
    cosines = cosines_of(rows, rows, 16)
    measured = discrimination(cosines, counted, temperatures=(0.05,), block_items_min=4)
    assert measured[0] > 0.9
    assert measured[1] == 0


def differential_of(
    full: torch.Tensor, mask: torch.Tensor, inverse: torch.Tensor, share: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    """R of encoders [N, I, D]."""
    found = [recomposed(*one, share, here) for *one, here in zip(full, mask, inverse, counted, strict=True)]
    own, across = zip(*found, strict=True)
    return differential(torch.stack(own), torch.stack(across), counted)


def test_differential__equals_the_formula_written_out() -> None:
    full, mask, inverse, counted = units(1, 3, 12, 8), units(2, 3, 12, 8), units(3, 3, 12, 8), flags(4, 3, 12)
    share = torch.linspace(0.15, 0.6, 12)
    measured = differential_of(full, mask, inverse, share, counted)
    for n in range(3):
        some = [i for i in range(12) if counted[n, i]]
        ratios = []
        for i in some:
            whole = hat(
                float(share[i]) * mask[n, i].double().numpy()
                + (1 - float(share[i])) * inverse[n, i].double().numpy()
            )
            own = np.sum((full[n, i].double().numpy() - whole) ** 2)
            others = np.mean([np.sum((full[n, j].double().numpy() - whole) ** 2) for j in some if j != i])
            ratios.append(own / others)
        assert measured[n] == pytest.approx(np.mean(ratios), rel=1e-5)


def test_differential__collapsed_space_is_no_better_than_chance() -> None:
    same = units(1, 1, 1, 8).expand(1, 20, 8)
    counted = torch.ones(1, 20, dtype=torch.bool)
    near = torch.nn.functional.normalize(same + 0.05 * units(2, 1, 20, 8), dim=-1)
    parts = torch.nn.functional.normalize(same + 0.05 * units(3, 1, 20, 8), dim=-1)
    assert differential_of(near, parts, parts, torch.full((20,), 0.5), counted)[0] > 0.9


def test_differential__nothing_counted_is_chance() -> None:
    rows = units(1, 2, 9, 4)
    counted = torch.zeros(2, 9, dtype=torch.bool)
    assert differential_of(rows, rows, rows, torch.full((9,), 0.5), counted).eq(1).all()


def test_differential_literal__is_the_mean_norm_of_full_less_parts_on_counted_items() -> None:
    full, mask, inverse = units(1, 2, 6, 8), units(2, 2, 6, 3, 8), units(3, 2, 6, 3, 8)
    counted = flags(4, 2, 6)
    full[~counted] = torch.nan
    measured = differential_literal(full, mask, inverse, counted)
    for n in range(2):
        norms = (full[n, :, None] - mask[n] - inverse[n]).norm(dim=-1)[counted[n]]
        assert measured[n] == pytest.approx(float(norms.mean()), rel=1e-6)


def test_innovation_and_leak__equal_the_formulas_written_out() -> None:
    counted = flags(4, 3, 7)
    full, mask, inverse = units(1, 3, 7, 8), units(2, 3, 7, 8), units(3, 3, 7, 8)
    middles = (units(6, 7, 8), units(7, 7, 8))
    middle_full = units(5, 7, 8)
    by_item = [rows.transpose(0, 1) for rows in (full, mask, inverse)]
    new = [
        mean_over(innovation(by_item[1 + a], by_item[0], middles[a], middle_full).T, counted, 0.0)
        for a in (0, 1)
    ]
    leaked = [mean_over(leak(by_item[1 + a], middles[a], middles[1 - a]).T, counted, 0.0) for a in (0, 1)]
    f, fc, c = full.double().numpy(), middle_full.double().numpy(), [m.double().numpy() for m in middles]
    parts = [mask.double().numpy(), inverse.double().numpy()]
    for n in range(3):
        some = [i for i in range(7) if counted[n, i]]
        news = [np.mean([off(parts[a][n, i], f[n, i]) @ off(c[a][i], fc[i]) for i in some]) for a in (0, 1)]
        leaks = [
            np.mean([off(parts[a][n, i], c[a][i]) @ off(c[1 - a][i], c[a][i]) for i in some]) for a in (0, 1)
        ]
        assert [float(role[n]) for role in new] == pytest.approx(news, abs=1e-5)
        assert [float(role[n]) for role in leaked] == pytest.approx(leaks, abs=1e-5)


def test_innovation__fragments_made_of_the_full_view_have_none() -> None:
    full = units(1, 30, 2, 16)
    new = innovation(full, full, units(2, 30, 16), units(4, 30, 16))
    assert new.abs().max() < 1e-3
