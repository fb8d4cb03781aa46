"""A batch: three waves that partition the views, sealed until their keys are out, the same everywhere."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.batch import PPM, PROBES, Batch, BatchError, Role, View, open_wave, plan_batch
from protocol.codec import CodecError, encode
from protocol.genesis import views_bounds
from protocol.hashing import content_digest, digest
from protocol.items import ItemError, canonical_text
from protocol.masks import UNITS_MIN, FirstMask
from protocol.probes import probe_count
from protocol.sealing import SealError, seal, wave_key
from tests.support.genesis import small_network, text_items

Planned = tuple[bytes, list[bytes], list[bytes], int]
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "batch.json").read_text())
SECRETS = st.binary(min_size=32, max_size=32)
WORD = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=6)
LONG = st.lists(WORD, min_size=UNITS_MIN + 2, max_size=30).map(" ".join).map(canonical_text)
SHORT = st.lists(WORD, min_size=1, max_size=4).map(" ".join).map(canonical_text)


@st.composite
def batches(draw: st.DrawFn) -> Planned:
    """Secret, scored and served items, masks per item."""
    items = draw(st.lists(LONG, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(1, len(items)))
    short = draw(st.lists(SHORT, max_size=3, unique=True))
    served = items[cut:] + [item for item in short if item not in items]
    return draw(SECRETS), items[:cut], served, draw(st.integers(1, 3))


@pytest.mark.parametrize("told", VECTORS, ids=lambda told: told["first_mask"])
def test_vectors__give_the_same_plan_on_any_machine(told: dict[str, Any]) -> None:
    batch = plan_batch(
        bytes.fromhex(told["secret"]),
        [item.encode() for item in told["scored"]],
        [item.encode() for item in told["served"]],
        told["masks_per_item"],
        first_mask=FirstMask(told["first_mask"]),
    )
    assert [item.decode() for item in batch.items] == told["items"]
    assert list(batch.scored) == told["scored_flags"]
    assert [list(shares) for shares in batch.mask_share_ppm] == told["mask_share_ppm"]
    waves = [[[v.item, v.role.value, v.mask, v.data.decode()] for v in wave] for wave in batch.waves]
    assert waves == told["waves"]
    assert [content_digest(sealed).hex() for sealed in batch.sealed] == told["sealed_digests"]


@settings(max_examples=15)
@given(planned=batches())
def test_waves__partition_the_views_by_what_they_may_give_away(
    planned: Planned,
) -> None:
    secret, scored, served, masks = planned
    batch = plan_batch(secret, scored, served, masks)
    assert Counter(batch.items) == Counter([*scored, *served])
    flags = dict(zip(batch.items, batch.scored, strict=True))
    assert {item for item, flag in flags.items() if flag} == set(scored)
    first, second, third = batch.waves
    assert {(view.role, view.mask) for view in first} == {(Role.MASK, 0)}
    assert {(view.role, view.mask) for view in second} == {(Role.INVERSE, 0)}
    expected = {(Role.FULL, 0)} | {(role, k) for role in (Role.MASK, Role.INVERSE) for k in range(1, masks)}
    assert {(view.role, view.mask) for view in third if view.role not in PROBES} == expected
    probed = [view.item for view in batch.probes]
    assert len(set(probed)) == len(probed) == probe_count(len(scored), masks)
    assert all(batch.scored[item] for item in probed)
    views = [view for wave in batch.waves for view in wave]
    places = Counter((view.item, view.role, view.mask) for view in views)
    assert max(places.values()) == 1
    for index, item in enumerate(batch.items):
        long = len(item.decode().split(" ")) >= UNITS_MIN
        assert len(batch.mask_share_ppm[index]) == (masks if long else 0)
        asked = 1 + 2 * masks if long else 1
        assert sum(view.item == index for view in views) == asked + probed.count(index)
    assert all(view.wave == wave for wave, asked in enumerate(batch.waves, 1) for view in asked)


@settings(max_examples=15)
@given(planned=batches())
def test_mask_and_inverse__partition_the_words_of_their_item(
    planned: Planned,
) -> None:
    batch = plan_batch(*planned)
    texts = {(v.item, v.role, v.mask): v.data.decode() for wave in batch.waves for v in wave}
    for index, (item, shares) in enumerate(zip(batch.items, batch.mask_share_ppm, strict=True)):
        full = texts[(index, Role.FULL, 0)]
        assert full.encode() == item
        for k, share_ppm in enumerate(shares):
            mask, inverse = texts[(index, Role.MASK, k)], texts[(index, Role.INVERSE, k)]
            assert Counter(mask.split(" ")) + Counter(inverse.split(" ")) == Counter(full.split(" "))
            assert mask
            assert inverse
            inside, outside = (len(text.replace(" ", "").encode()) for text in (mask, inverse))
            assert share_ppm == inside * PPM // (inside + outside)


@settings(max_examples=10)
@given(planned=batches())
def test_sealed_wave__opens_to_its_texts_with_its_key_and_no_other(
    planned: Planned,
) -> None:
    secret = planned[0]
    batch = plan_batch(*planned)
    for wave in (1, 2, 3):
        sealed = batch.sealed[wave - 1]
        assert open_wave(wave_key(secret, wave), sealed) == tuple(v.data for v in batch.waves[wave - 1])
        for other in {1, 2, 3} - {wave}:
            with pytest.raises(SealError):
                open_wave(wave_key(secret, other), sealed)
        with pytest.raises(SealError):
            open_wave(wave_key(secret, wave), sealed[:-1] + bytes([sealed[-1] ^ 1]))


@settings(max_examples=8)
@given(planned=batches())
def test_plan__is_a_function_of_secret_and_items(
    planned: Planned,
) -> None:
    secret, scored, served, masks = planned
    assert plan_batch(secret, scored, served, masks) == plan_batch(secret, list(scored), list(served), masks)
    other = plan_batch(digest("other", secret), scored, served, masks)
    assert other.sealed != plan_batch(secret, scored, served, masks).sealed


BATCH = plan_batch(digest("batch"), text_items("s", 12), text_items("u", 12), 2)


def order_of(batch: Batch, wave: int) -> list[int]:
    return [view.item for view in batch.waves[wave - 1]]


def test_encoder__cannot_tell_scored_items_nor_pair_parts_by_their_order() -> None:
    assert len({tuple(order_of(BATCH, wave)) for wave in (1, 2)}) == 2
    assert sorted(order_of(BATCH, 1)) == sorted(order_of(BATCH, 2)) == list(range(24))
    flags = [BATCH.scored[item] for item in order_of(BATCH, 1)]
    assert 0 < sum(flags[:12]) < 12  # 12 of 24 in a row would be 1 in 1.3 million


def test_views__stay_within_what_the_gossip_rules_allow() -> None:
    parameters = small_network(1, 3, items=12, served_items_max=12)[0].parameters
    for wave in (1, 2, 3):
        fewest, most = views_bounds(parameters, wave)
        assert len(BATCH.waves[wave - 1]) == most
        bare = plan_batch(digest("batch"), text_items("s", 12), [], 2)
        assert len(bare.waves[wave - 1]) == fewest


def test_item_twice__is_refused_wherever_it_stands() -> None:
    first, second, third = text_items("x", 3)
    for scored, served in (([first, first], []), ([first], [second, second]), ([first, third], [first])):
        with pytest.raises(BatchError, match="appears twice"):
            plan_batch(bytes(32), scored, served, 1)


def test_short_item__is_served_whole_but_not_scored() -> None:
    short = b"seven words are not enough for masks"
    assert len(short.split()) == UNITS_MIN - 1
    with pytest.raises(BatchError, match=f"fewer than {UNITS_MIN} units"):
        plan_batch(bytes(32), [short], [], 1)
    batch = plan_batch(bytes(32), text_items("x", 1), [short], 1)
    index = batch.items.index(short)
    assert [v for wave in batch.waves for v in wave if v.item == index] == [View(index, Role.FULL, 0, short)]


def test_item_that_is_not_canonical__is_refused() -> None:
    for item in (b"", b"two  spaces", b"\xff", b" lead"):
        with pytest.raises(ItemError):
            plan_batch(bytes(32), text_items("x", 1), [item], 1)


def test_payload_of_a_cheating_dealer__is_refused_by_its_shape() -> None:
    key = wave_key(bytes(32), 1)
    for payload in (b"", b"\x90", b"\x91\x91\x92\xc4\x01a\xa1b", encode(["text"]), encode([[]]) + b"\0"):
        with pytest.raises(CodecError):
            open_wave(key, seal(key, payload))
    assert open_wave(key, seal(key, encode([[]]))) == ()


def test_order_in_which_a_dealer_lists_what_it_serves__changes_nothing() -> None:
    scored, served = text_items("s", 8), text_items("u", 6)
    assert plan_batch(bytes(32), scored, served, 2) == plan_batch(bytes(32), scored, served[::-1], 2)
