"""What is observed as it happens: steps, scoring, an encoder's waves and its place in reports."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from node.metrics.encoder import EncoderMetrics
from node.metrics.rounds import SEEN_MAX, RoundMeters, ScoringMeter
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from tests.support.epochs import audit_report
from tests.support.measured import AT, ENCODERS, HISTORY, TIMED

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def encoder(tmp_path: Path) -> EncoderMetrics:
    return EncoderMetrics(Epochs(HISTORY.genesis), ENCODERS[0], tmp_path)


def test_lock__shows_the_seconds_of_its_wave_and_who_answered(registry: CollectorRegistry) -> None:
    RoundMeters(registry).step(TIMED)
    assert registry.get_sample_value("deltamesh_wave_seconds_sum", {"wave": "1"}) == 2.5
    asked = "deltamesh_wave_answers_total"
    assert registry.get_sample_value(asked, {"wave": "1", "outcome": "answered"}) == 3
    assert registry.get_sample_value(asked, {"wave": "1", "outcome": "missing"}) == 1


def test_certificate__shows_the_latency_of_the_round_once(registry: CollectorRegistry) -> None:
    meters = RoundMeters(registry)
    published: list[fx.Publish] = []
    publish = meters.observed(published.append)
    step = fx.Publish(AT, fx.Step.CERTIFIED, 0, 4_200, ENCODERS)
    publish(step)
    publish(step)
    assert published == [step, step], "whoever watches is told all the same"
    assert registry.get_sample_value("deltamesh_round_seconds_sum") == 4.2
    assert registry.get_sample_value("deltamesh_rounds_total", {"state": "certified"}) == 1


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["void", "certified", "dealt"])), max_size=40))
def test_states__are_counted_once_for_each_round(steps: list[tuple[int, str]]) -> None:
    registry = CollectorRegistry()
    meters = RoundMeters(registry)
    for round_, state in steps:
        meters.step(fx.Publish(ShardRound(0, round_, 0), fx.Step(state)))
    for state in ("void", "certified", "dealt"):
        counted = registry.get_sample_value("deltamesh_rounds_total", {"state": state})
        assert counted == len({round_ for round_, one in steps if one == state})


def test_states__remembered_are_bounded(registry: CollectorRegistry) -> None:
    meters = RoundMeters(registry)
    for round_ in range(SEEN_MAX + 10):
        meters.step(fx.Publish(ShardRound(0, round_, 0), fx.Step.VOID))
    assert len(meters._states._seen) == SEEN_MAX


async def test_scoring__is_timed_while_it_waits_and_counted_when_it_fails(
    registry: CollectorRegistry,
) -> None:
    meter = ScoringMeter(registry)
    under_way = []

    async def ask(works: bool) -> str:
        under_way.append(meter.waiting)
        if not works:
            raise RuntimeError("the process died")
        return "scores"

    timed = meter.timed("compare", ask)
    assert await timed(True) == "scores"
    with pytest.raises(RuntimeError, match="died"):
        await timed(False)
    assert (under_way, meter.waiting) == ([1, 1], 0)
    assert registry.get_sample_value("deltamesh_scoring_seconds_count", {"task": "compare"}) == 1
    assert registry.get_sample_value("deltamesh_scoring_failures_total", {"task": "compare"}) == 1
    assert registry.get_sample_value("deltamesh_scoring_failures_total", {"task": "score"}) == 0


async def test_waves__are_counted_by_what_became_of_them(encoder: EncoderMetrics) -> None:
    async def answer(at: ShardRound, wave: int, views: tuple[bytes, ...]) -> bytes:
        if wave == 3:
            raise ZeroDivisionError("the model's fault")
        if wave == 2:
            encoder.unanswered("skipped")
            return b""
        return b"vectors"

    timed = encoder.timed(answer)  # type: ignore[arg-type]
    assert await timed(AT, 1, (b"a", b"b")) == b"vectors"
    assert await timed(AT, 2, (b"a",)) == b""
    with pytest.raises(ZeroDivisionError):
        await timed(AT, 3, (b"a",))
    value = encoder.registry.get_sample_value
    outcomes = ("answered", "refused", "skipped", "failed")
    assert [value("deltamesh_waves_total", {"outcome": one}) for one in outcomes] == [1, 0, 1, 1]
    assert value("deltamesh_model_views_total") == 2
    assert value("deltamesh_model_seconds_count", {"wave": "1"}) == 1
    assert value("deltamesh_model_seconds_count", {"wave": "2"}) == 0


@pytest.mark.parametrize(("weight", "label"), [(0.0, "none"), (0.25, "some")])
def test_certified_report__tells_an_encoder_its_place(
    encoder: EncoderMetrics, weight: float, label: str
) -> None:
    fact = HISTORY.facts[-1]
    report = audit_report(HISTORY.genesis, fact.header, encode(fact.body))
    place = report.task.encoders.index(ENCODERS[0])
    weights = bytearray(report.body.scores.weight)
    struct.pack_into("<d", weights, 8 * place, weight)
    scores = msgspec.structs.replace(report.body.scores, weight=bytes(weights))
    object.__setattr__(report, "body", msgspec.structs.replace(report.body, scores=scores))
    encoder.report(report)
    value = encoder.registry.get_sample_value
    assert value("deltamesh_own_rounds_total", {"weight": label}) == 1
    assert value("deltamesh_own_weight_ratio") == weight
    assert value("deltamesh_own_score") == 1.0


def test_report_of_others__is_nothing_to_an_encoder(tmp_path: Path) -> None:
    fact = HISTORY.facts[-1]
    stranger = EncoderMetrics(Epochs(HISTORY.genesis), b"s" * 32, tmp_path)
    stranger.report(audit_report(HISTORY.genesis, fact.header, encode(fact.body)))
    assert stranger.registry.get_sample_value("deltamesh_own_rounds_total", {"weight": "none"}) == 0
