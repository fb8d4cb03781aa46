"""What the newest record makes of a peer's budgets: full for the well reputed, never nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import node.roles.validator
from node.epochs.peer_share import FULL_FROM_PPM, SHARE_MIN, share_now, share_of
from node.network.limits import NetworkLimits
from node.network.windows import WindowBudget
from node.roles.encoder import run_encoder_node
from node.roles.validator import run_validator_node
from protocol.bending import Bending
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.epochs.record import EncoderState, EncoderTable
from protocol.epochs.view import PPM, Epoch
from protocol.hashing import content_digest
from tests.support.local_network import _prepare
from tests.support.records import ENCODERS, GENESIS, VALIDATORS, Story, conviction, newcomer, registration

FIRST = Epoch.first(GENESIS)


class FakeWorker:
    """Scores nothing."""

    async def start(self) -> None:
        """As if it had."""


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


NEW = newcomer(0)


def epoch_with(reputation_ppm: int, stake: int = 1) -> Epoch:
    table = EncoderTable((EncoderState(NEW, stake, 4, reputation_ppm, 0, 0, Bending(), 0),))
    data = encode(table)
    record = msgspec.structs.replace(FIRST.record, encoders=content_digest(data), encoders_bytes=len(data))
    return Epoch(GENESIS, record, table)


@given(lower=st.integers(0, PPM), more=st.integers(0, PPM))
def test_share__grows_with_reputation_and_is_never_nothing(lower: int, more: int) -> None:
    low, high = (share_of(epoch_with(ppm), NEW) for ppm in (lower, lower + more))
    assert SHARE_MIN <= low <= high <= 1.0
    assert (low == 1.0) == (lower >= FULL_FROM_PPM)
    assert (low == SHARE_MIN) == (lower == 0)


def test_genesis_members__have_a_full_share_before_anybody_was_judged() -> None:
    assert {share_of(FIRST, key) for key in (*VALIDATORS, *ENCODERS)} == {1.0}


def test_newcomer__has_the_least_until_it_has_been_judged_and_then_more() -> None:
    story = Story()
    share = partial(share_now, story.epochs, NEW)
    assert share() == SHARE_MIN  # a stranger
    story.go_on(story.known([registration(NEW, 0)]))
    assert share() == SHARE_MIN
    story.go_on()
    assert share() == SHARE_MIN  # its rounds are certified, and in no record yet
    seen = []
    for _ in range(12):
        story.go_on()
        seen.append(share())
    assert seen == sorted(seen)
    assert any(SHARE_MIN < one < 1.0 for one in seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("stake", [0, 1])
def test_exposed_and_convicted__fall_back_to_the_least(stake: int) -> None:
    assert share_of(epoch_with(0 if stake else PPM, stake), NEW) == SHARE_MIN
    story = Story()
    story.go_on(story.known(evidence=[conviction(ENCODERS[0], 0), conviction(VALIDATORS[0], 0)]))
    assert {share_now(story.epochs, key) for key in (ENCODERS[0], VALIDATORS[0])} == {SHARE_MIN}
    assert share_now(Epochs(GENESIS), ENCODERS[0]) == 1.0


def test_least_share__is_many_times_what_a_round_takes() -> None:
    # An encoder asks for three waves in pieces of a MiB, and hands over three commits and a reveal, to three.
    limits = NetworkLimits()
    assert limits.requests_burst * SHARE_MIN >= 100
    assert limits.requests_per_s * SHARE_MIN >= 5
    assert limits.blob_bytes_per_peer_per_s * SHARE_MIN >= 16 << 20
    assert WindowBudget(limits, lambda _: SHARE_MIN).grant(NEW) >= 1 << 20


class Asked(Exception):  # noqa: N818
    """What a role opens its host with."""


@pytest.mark.anyio
@pytest.mark.parametrize("role", ["validator", "encoder"])
async def test_role__opens_its_host_with_the_shares_of_its_newest_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    genesis, nodes, _ = _prepare(tmp_path, 1, 3, 0, 0, {}, {"scored_items": 4}, 4, "off")

    def ask(*_: object, **given_: object) -> None:
        raise Asked(given_)

    @asynccontextmanager
    async def no_worker(*_: object, **__: object) -> AsyncIterator[FakeWorker]:
        yield FakeWorker()

    monkeypatch.setattr(f"node.roles.{role}.open_host", ask)
    monkeypatch.setattr(node.roles.validator, "open_scoring_worker", no_worker)
    runs: dict[str, Callable[[trio.Event], Awaitable[None]]] = {
        "validator": partial(run_validator_node, nodes["validator-0"]),
        "encoder": partial(run_encoder_node, nodes["encoder-0"], lambda: None),  # type: ignore[arg-type, return-value]
    }
    with pytest.raises(Asked) as caught:
        await runs[role](trio.Event())
    share = caught.value.args[0]["share"]
    assert {share(key) for key in (*genesis.validators, *genesis.encoders)} == {1.0}
    assert share(NEW) == SHARE_MIN
