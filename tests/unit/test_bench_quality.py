"""The quality benchmark: its task, its rank correlation, its networks, and its verdict on known encoders."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import normalize
from typer.testing import CliRunner

from node.bench import sample as sample_module
from node.bench.encoders import PLAIN_NAMES
from node.bench.errors import BenchError
from node.bench.networks import Network, default_networks, networks_by_name
from node.bench.quality import CONSENSUS_NAMES, Compared, compare, found, qualities, rank_correlation
from node.bench.quality_picture import quality_picture
from node.bench.quality_run import run_quality
from node.bench.quality_summary import summary
from node.bench.retrieval import (
    GALLERY_TEXTS,
    halves,
    mean_reciprocal_rank,
    mean_reciprocal_rank_of_galleries,
)
from node.bench.sample import Sample, Sizes
from node.bench.texts import Split
from node.cli import app
from scoring import HARDENED
from scoring.centring import centred, shard_means
from scoring.views import Role, Views
from tests.support.synthetic_encoders import honest_shard

torch.set_num_threads(1)

NOISES = [2.0, 3.0, 4.0, 5.5, 8.0, 12.0]
NAMES = tuple(f"encoder-{n}" for n in range(len(NOISES)))
seeds = st.integers(0, 2**16)


def rows(count: int, dimension: int, seed: int) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Encoders that are the worse the later they come; mask and inverse of further items are the halves."""
    shard = honest_shard(NOISES, items=192, masks=1, dimension=64, seed=3)
    parted = Views(shard.full, shard.mask, shard.inverse, torch.ones(192, dtype=torch.bool))
    means = shard_means(parted)
    roles = (Role("full", 0), Role("mask", 0), Role("inverse", 0))
    full, mask, inverse = (centred(parted, means)[role].every_row() for role in roles)
    scored, asked = slice(0, 128), slice(128, 192)
    parts = (shard.full[:, scored], shard.mask[:, scored], shard.inverse[:, scored], shard.share[scored])
    return Sample(NAMES, *parts, means, full[:, scored], mask[:, asked], inverse[:, asked])


@pytest.fixture(scope="module")
def compared(sample: Sample) -> Compared:
    return compare(sample, qualities(sample), shards=2, seed=0)


@given(st.lists(st.lists(st.sampled_from(["a", "bc", "def"]), min_size=2, max_size=9), max_size=5))
def test_halves__are_the_whole_text(texts: list[list[str]]) -> None:
    firsts, seconds = halves([" ".join(words) for words in texts])
    for words, first, second in zip(texts, firsts, seconds, strict=True):
        assert first.split() + second.split() == words
        assert 0 <= len(second.split()) - len(first.split()) <= 1


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), seed=seeds)
def test_mean_reciprocal_rank__is_that_of_sorted_cosines(count: int, seed: int) -> None:
    first, second = rows(count, 5, seed), rows(count, 5, seed + 1)
    cosine = normalize(first, dim=1) @ normalize(second, dim=1).T
    ranks = [1 + sum(1 for other in row if other > row[i]) for i, row in enumerate(cosine.tolist())]
    expected = sum(1 / rank for rank in ranks) / count
    assert mean_reciprocal_rank(first, second) == pytest.approx(expected)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert mean_reciprocal_rank(3 * first[order], second[order]) == pytest.approx(expected)


def test_mean_reciprocal_rank__ties_and_missing_rows_count_against() -> None:
    same = torch.ones(8, 4)
    assert mean_reciprocal_rank(same, same) == pytest.approx(1 / 8)
    exact = torch.eye(8)
    assert mean_reciprocal_rank(exact, exact) == 1
    missing = exact.clone()
    missing[0] = torch.nan
    assert mean_reciprocal_rank(missing, exact) == pytest.approx((7 + 1 / 8) / 8)
    with pytest.raises(ValueError, match="equal"):
        mean_reciprocal_rank(exact, exact[:3])


def test_galleries__are_searched_apart_and_weigh_by_their_texts() -> None:
    count = GALLERY_TEXTS + 88
    first, second = rows(count, 4, 0), rows(count, 4, 1)
    ends = [(0, GALLERY_TEXTS), (GALLERY_TEXTS, count)]
    apart = [mean_reciprocal_rank(first[a:b], second[a:b]) * (b - a) for a, b in ends]
    assert mean_reciprocal_rank_of_galleries(first, second) == pytest.approx(sum(apart) / count)
    assert mean_reciprocal_rank_of_galleries(first[:99], second[:99]) == mean_reciprocal_rank(
        first[:99], second[:99]
    )


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12))
def test_rank_correlation__is_spearmans_with_ties(pairs: list[tuple[int, int]]) -> None:
    one, other = ([float(value) for value in values] for values in zip(*pairs, strict=True))
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert rank_correlation(one, other) == 0
    else:
        assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)


def test_compare__scores_rank_as_the_task_does_and_literal_ranks_backwards(compared: Compared) -> None:
    assert compared.ranked.correlation[HARDENED.name] > 0.9
    assert compared.ranked.correlation["literal"] < 0
    assert list(compared.ranked.weight) == sorted(compared.ranked.weight, reverse=True)


def test_compare__weights_beat_the_plain_mean(compared: Compared) -> None:
    figures = compared.figures
    assert set(figures) == set(CONSENSUS_NAMES)
    assert figures["weighted"] > figures["plain"] + 0.01
    assert compared.gain == pytest.approx(figures["weighted_shaped"] - figures["best_single_shaped"])
    assert figures["best_single"] == max(one.raw for one in compared.ranked.quality)


def test_compare__of_one_draw_is_repeatable(sample: Sample, compared: Compared) -> None:
    again = compare(sample, qualities(sample), shards=2, seed=0)
    assert again.figures == compared.figures


def test_found__without_any_weight_finds_nothing(sample: Sample) -> None:
    assert found(sample, torch.zeros(len(NAMES), dtype=torch.float64)) == 0


def test_sample__of_some_encoders_keeps_their_order(sample: Sample) -> None:
    some = sample.encoders(["encoder-3", "encoder-1"])
    assert some.names == ("encoder-3", "encoder-1")
    assert torch.equal(some.full[0], sample.full[3])
    assert torch.equal(some.second[1], sample.second[1])


def test_networks__of_the_plain_encoders_have_no_duplicate_and_no_dominant_one() -> None:
    found_ = default_networks(PLAIN_NAMES)
    assert [network.name for network in found_] == ["testnet", "complementary", "plain"]
    assert len({network.encoders for network in found_}) == len(found_)
    both = default_networks((*PLAIN_NAMES, "minilm-6-mean", "minilm-3-mean"))
    assert {"complementary + best", "plain + best", "all - best", "all"} <= {one.name for one in both}
    most = default_networks((*PLAIN_NAMES, "minilm-5-mean", "minilm-5-max", "minilm-6-mean"))
    assert {"kinds", "equals"} <= {one.name for one in most}
    assert not any("minilm-6-mean" in one.encoders for one in most if one.name in ("kinds", "equals"))
    assert networks_by_name(["plain"], found_) == (found_[2],)
    with pytest.raises(BenchError, match="testnet, complementary, plain"):
        networks_by_name(["plane"], found_)


def test_summary__gives_means_and_the_worst_draw(compared: Compared) -> None:
    worse = Compared(compared.ranked, dict(compared.figures) | {"weighted_shaped": 0.0})
    both = summary(Network("synthetic", NAMES), [compared, worse])
    assert both.gain_worst == pytest.approx(worse.gain)
    assert both.gain == pytest.approx((compared.gain + worse.gain) / 2)
    assert both.encoders[0].name == "encoder-0"
    assert set(both.correlation) == {HARDENED.name, "literal"}
    json.dumps(both.document(), allow_nan=False)


def test_picture__is_sound_xml_with_a_mark_for_every_figure(compared: Compared) -> None:
    one = summary(Network("a < b", NAMES), [compared])
    root = ElementTree.fromstring(quality_picture([one, one], "figures & more"))
    circles = [part for part in root.iter() if part.tag.endswith("circle")]
    assert len(circles) == 3 * len(CONSENSUS_NAMES)
    assert HARDENED.name in one.correlation


def test_draw__takes_the_past_a_split_has_and_refuses_less_than_half(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = tuple(f"text {n}" for n in range(100))
    monkeypatch.setattr(sample_module, "split_texts", lambda _split: texts)
    taken = texts[:20]
    for past_items, expected in ((40, 40), (90, 60)):
        past, asked = sample_module.undrawn(Split.TUNE, taken, 0, Sizes(past_items=past_items, queries=20))
        assert len(past) == expected
        assert len(asked) == 20
        assert len({*past, *asked, *taken}) == expected + 40
    with pytest.raises(BenchError, match="80 texts"):
        sample_module.undrawn(Split.TUNE, taken, 0, Sizes(past_items=121, queries=20))


@pytest.mark.slow
def test_bench_quality__ranks_real_encoders_of_a_small_draw(tmp_path: Path) -> None:
    sizes = Sizes(shards=1, shard_items=64, past_items=64, queries=64)
    network = Network("three", ("wordllama-64", "lsa-64", "words"))
    (one,) = run_quality([network], Split.TUNE, 1, tmp_path, sizes)
    assert {row.name for row in one.encoders} == set(network.encoders)
    assert all(0 < row.quality < 1 for row in one.encoders)
    assert all(0 < figure < 1 for figure in one.figures.values())
    assert sum(row.weight for row in one.encoders) == pytest.approx(1)


@pytest.mark.slow
def test_bench_quality__command_refuses_an_unknown_network(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "quality", "--network", "nowhere", "--cache", str(tmp_path)])
    assert result.exit_code != 0
