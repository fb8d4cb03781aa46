"""Probes: which fragments come back, which words they lose, and that nobody who lacks the secret can tell."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.batch import PROBES, Role, open_wave, plan_batch
from protocol.hashing import digest
from protocol.masks import UNITS_MIN, Mask, masks_of
from protocol.modalities import TEXT, Units, spans_of
from protocol.probes import (
    FRAGMENT_UNITS_MIN,
    PROBE_SHARE_PPM,
    UNITS_A_CUT,
    probe_count,
    probe_view,
    probed_items,
)
from protocol.sealing import wave_key
from tests.support.genesis import text_items

SECRETS = st.binary(min_size=32, max_size=32)
PARTS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=60).map(" ".join)


def probe_text(secret: bytes, parts: tuple[str, str]) -> tuple[bool, str]:
    """Of the item that begins with the words of the mask and ends with those of the inverse."""
    words = " ".join(parts).split(" ")
    inside = len(parts[0].split(" "))
    of_inverse, left = probe_view(
        secret, Units.of(TEXT, " ".join(parts).encode()), Mask(spans_of(range(inside)), len(words))
    )
    return of_inverse, left.decode()


@given(scored=st.integers(1, 8192), masks=st.integers(1, 16))
def test_probe_count__is_a_share_of_the_views_rounded_up(scored: int, masks: int) -> None:
    share = scored * (1 + 2 * masks) * PROBE_SHARE_PPM
    assert (probe_count(scored, masks) - 1) * 1_000_000 < share
    assert probe_count(scored, masks) == scored or probe_count(scored, masks) * 1_000_000 >= share
    assert 1 <= probe_count(scored, masks) <= scored


def test_probe_count__of_the_presets_is_that_of_the_page() -> None:
    assert [probe_count(items, 2) for items in (64, 256)] == [4, 16]


@given(secret=SECRETS, scored=st.lists(st.integers(0, 500), min_size=1, max_size=200, unique=True))
@settings(max_examples=50)
def test_probed_items__are_scored_ones_each_at_most_once(secret: bytes, scored: list[int]) -> None:
    probed = probed_items(secret, scored, 2)
    assert probed == sorted(set(probed))
    assert set(probed) <= set(scored)
    assert len(probed) == probe_count(len(scored), 2)


def test_probed_items__are_drawn_evenly() -> None:
    secrets = [digest("even", seed.to_bytes(2, "big")) for seed in range(2000)]
    drawn = Counter(item for secret in secrets for item in probed_items(secret, [*range(40)], 2))
    # 150 each in the mean, standard deviation 12.
    assert len(drawn) == 40
    assert all(90 < count < 210 for count in drawn.values())


@given(secret=SECRETS, mask=PARTS, inverse=PARTS)
def test_probe_text__is_one_of_the_parts_less_a_few_words(secret: bytes, mask: str, inverse: str) -> None:
    parts = (mask, inverse)
    if max(len(part.split(" ")) for part in parts) < FRAGMENT_UNITS_MIN:
        return
    of_inverse, left = probe_text(secret, parts)
    whole, kept = parts[of_inverse].split(" "), left.split(" ")
    assert len(whole) >= FRAGMENT_UNITS_MIN
    assert len(whole) - len(kept) == -(-len(whole) // UNITS_A_CUT)
    rest = iter(whole)
    assert all(word in rest for word in kept)  # in their order


def test_probe_text__is_the_inverse_three_times_in_four_and_lacks_any_word() -> None:
    parts = ("a b c d e f", "u v w x y z")
    drawn = [probe_text(digest("drawn", bytes([seed])), parts) for seed in range(250)]
    assert 165 < sum(of_inverse for of_inverse, _ in drawn) < 210
    for of_inverse, part in enumerate(parts):
        words = set(part.split())
        lost = [words - set(left.split()) for which, left in drawn if which == of_inverse]
        assert set.union(*lost) == words


def test_probe_text__lacks_a_short_word_rather_than_a_long_one() -> None:
    parts = ("aa of bb in", "significance of interpretation in representation by normalisation at")
    drawn = [probe_text(digest("short", bytes([seed])), parts) for seed in range(200)]
    lost = [set(parts[1].split()) - set(left.split()) for of_inverse, left in drawn if of_inverse]
    # Three draws of which none is one of the 4 short ones of 8: one in eight.
    assert sum(len(word) <= 2 for (word,) in lost) > 0.8 * len(lost)


@pytest.mark.parametrize("short", [0, 1])
def test_part_of_three_words__is_never_probed(short: int) -> None:
    parts = ("a b c", "d e f g") if short == 0 else ("d e f g", "a b c")
    for seed in range(50):
        of_inverse, _ = probe_text(digest("three", bytes([seed])), parts)
        assert of_inverse == (short == 0)


def test_every_item_long_enough_to_mask__has_a_fragment_to_probe() -> None:
    text = " ".join(f"w{place}" for place in range(UNITS_MIN))
    for seed in range(200):
        units = Units.of(TEXT, text.encode())
        mask = masks_of(digest("short", bytes([seed])), units, 1)[0]
        sizes = [len(part.split(b" ")) for part in (mask.part(units), mask.inverse(units))]
        assert max(sizes) >= FRAGMENT_UNITS_MIN


def test_probes_in_a_batch__are_of_mask_0_and_look_like_any_view() -> None:
    secret = digest("batch with probes")
    batch = plan_batch(secret, text_items("p", 64), text_items("q", 8), 2)
    texts = {(v.item, v.role): v.data.decode() for wave in batch.waves for v in wave if v.mask == 0}
    assert len(batch.probes) == 4
    assert all(view.wave == 3 for view in batch.probes)
    for view in batch.probes:
        fragment = texts[view.item, Role.MASK if view.role is PROBES[0] else Role.INVERSE]
        assert set(view.data.decode().split(" ")) <= set(fragment.split(" "))
        assert view.data.decode() != fragment
    # An encoder sees opaque ids of one size, in an order that groups nothing.
    places = [place for place, view in enumerate(batch.waves[2]) if view in batch.probes]
    assert places != list(range(places[0], places[0] + 4))
    assert open_wave(wave_key(secret, 3), batch.sealed[2]) == tuple(view.data for view in batch.waves[2])


@pytest.mark.parametrize("served", [0, 32])
def test_text_of_a_probe__depends_on_secret_and_item_alone(served: int) -> None:
    secret = digest("served too")
    batch = plan_batch(secret, text_items("p", 32), text_items("q", served), 2)
    for view in batch.probes:
        units = Units.of(TEXT, batch.items[view.item])
        mask = masks_of(secret, units, 1)[0]
        assert probe_view(secret, units, mask) == (view.role is PROBES[1], view.data)
