"""The catalogue of metrics: what is told of a metric is what a scrape of it shows."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.metrics import catalogue as m
from node.metrics import network_catalogue as n
from node.metrics.counted import BY_NAME, counted, place_of
from node.metrics.metric import Kind, Metric
from node.metrics.validator import API_PROCESS, SCORING_PROCESS
from protocol.rounds import effects as fx
from scoring import GATED_TERMS, MEASURED_TERMS
from tests.support.documents import ROOT
from tests.support.measured import everything

SUFFIXES = ("_bucket", "_count", "_sum")
FORBIDDEN_LABELS = {"peer", "key", "public_key", "encoder", "validator", "dealer", "item", "path", "address"}


def bare(series: str) -> str:
    """The metric a series belongs to."""
    name = next((series.removesuffix(end) for end in SUFFIXES if series.endswith(end)), series)
    return name if any(one.name == name and one.kind is Kind.HISTOGRAM for one in m.METRICS) else series


def test_scrapes__have_the_metrics_of_the_catalogue_and_no_others() -> None:
    shown = {bare(series) for series in everything() if series.startswith("deltamesh_")}
    processes = (SCORING_PROCESS + "_process", API_PROCESS + "_process")
    shown = {name for name in shown if not name.startswith(processes)}
    assert shown == {metric.name for metric in m.METRICS}


@pytest.mark.parametrize("metric", m.METRICS, ids=lambda metric: metric.name)
def test_labels__are_those_told_with_no_other_value(metric: Metric) -> None:
    series = metric.name + "_count" if metric.kind is Kind.HISTOGRAM else metric.name
    labels = everything()[series]
    assert set(labels) == set(metric.label_names)
    for label in metric.labels:
        if label.values:
            assert labels[label.name] <= set(label.values)
        else:
            assert label.what, "a label without listed values says where they come from"


@pytest.mark.parametrize("metric", m.METRICS, ids=lambda metric: metric.name)
def test_names__follow_the_conventions_and_no_label_names_anybody(metric: Metric) -> None:
    assert re.fullmatch(r"deltamesh_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not re.search(r"_(ms|milliseconds|kib|mib|percent|ppm)\b", metric.name), "base units only"
    assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert metric.help.endswith(".")
    assert not FORBIDDEN_LABELS & set(metric.label_names)


def test_sections__name_each_metric_once() -> None:
    counts = Counter(metric.name for metric in m.METRICS)
    defined = {one.name for part in (m, n) for one in vars(part).values() if isinstance(one, Metric)}
    assert set(counts.values()) == {1}
    assert set(counts) == defined


def test_terms_and_states__are_those_of_the_code() -> None:
    assert set(m.TERMS) == {*MEASURED_TERMS, *GATED_TERMS, "availability"}
    assert set(m.ROUND_STATES) <= set(fx.Step)


def test_every_counter_of_the_code__has_a_metric() -> None:
    pattern = re.compile(r'counters\.add\(\s*f?"([^"]+)"')
    names = {
        name
        for path in (ROOT / "node").rglob("*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }
    assert len(names) > 30
    for name in names:
        stem = name.partition("{")[0]
        if "{" in name and any(known.startswith(stem) for known in BY_NAME):
            continue  # one name a verdict: each is listed
        assert place_of(stem + "X" if "{" in name else name)[0] is not n.OTHER, f"{name} has no metric"


def test_every_mapped_counter__is_counted_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "node").rglob("*.py"))
    for name in BY_NAME:
        stem = name.rpartition(".")[0]
        assert text.count(f'"{name}"') > 1 or f'f"{stem}.{{' in text, f"{name} is counted nowhere"


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(sorted(BY_NAME)), st.text(max_size=20), st.just("guarded.x.KeyError")),
        st.integers(0, 1 << 60),
        max_size=20,
    )
)
def test_counters__lose_no_count(counters: dict[str, int]) -> None:
    samples = [sample.value for family in counted(counters) for sample in family.samples]
    assert sum(samples) == sum(counters.values())
