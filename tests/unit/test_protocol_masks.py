"""Text masks: mask and inverse partition the words, within the stated shares, in every relation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.hashing import digest, keyed_stream, uint
from protocol.items import check_canonical_text, item_id
from protocol.masks import (
    CUT_PERCENT_MAX,
    CUT_PERCENT_MIN,
    MASKS_MAX,
    SPANS_MAX,
    UNITS_MIN,
    FirstMask,
    Mask,
    MaskError,
    Relation,
    masks_of,
)
from protocol.modalities import BYTES, IMAGE, TEXT, Modality, Units

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "masks.json").read_text())
SECRETS = st.binary(min_size=32, max_size=32)
ITEMS = st.lists(
    st.text(alphabet="abé漢\u0301x", min_size=1, max_size=4), min_size=UNITS_MIN, max_size=60
).map(" ".join)
COUNTS = st.integers(1, 5)
WAYS = st.sampled_from(FirstMask)


def text_masks(
    secret: bytes, item: str, count: int, first_mask: FirstMask = FirstMask.CUT
) -> tuple[Mask, ...]:
    return masks_of(secret, units(item), count, first_mask)


def units(item: str) -> Units:
    return Units(TEXT, item.encode(), TEXT.unit_sizes(item.encode()))


def part(mask: Mask, item: str) -> str:
    return mask.part(units(item)).decode()


def inverse(mask: Mask, item: str) -> str:
    return mask.inverse(units(item)).decode()


def indices(mask: Mask) -> set[int]:
    return {i for start, stop in mask.spans for i in range(start, stop)}


def relation(a: Mask, b: Mask) -> Relation:
    ours, theirs = indices(a), indices(b)
    if not ours & theirs:
        return Relation.DISJOINT
    return Relation.NESTED if ours <= theirs or theirs <= ours else Relation.CROSSING


def numbered(word_count: int) -> str:
    return " ".join(map(str, range(word_count)))


def test_text_masks__match_the_vectors() -> None:
    for row in VECTORS:
        first_mask = FirstMask(row["first_mask"])
        masks = text_masks(bytes.fromhex(row["secret"]), row["item"], len(row["masks"]), first_mask)
        for mask, expected in zip(masks, row["masks"], strict=True):
            assert [list(span) for span in mask.spans] == expected["spans"]
            assert part(mask, row["item"]) == expected["part"]
            assert inverse(mask, row["item"]) == expected["inverse"]
            assert mask.share_ppm(units(row["item"])) == expected["share_ppm"]


@given(secret=SECRETS, item=ITEMS, count=COUNTS, way=WAYS)
def test_text_masks__and_inverses_partition_the_words(
    secret: bytes, item: str, count: int, way: FirstMask
) -> None:
    words = item.split(" ")
    masks = text_masks(secret, item, count, way)
    assert len(masks) == count
    for mask in masks:
        inside = indices(mask)
        inner, outer = part(mask, item).split(" "), inverse(mask, item).split(" ")
        assert inner == [word for i, word in enumerate(words) if i in inside]
        assert outer == [word for i, word in enumerate(words) if i not in inside]
        assert inner != [""]
        assert outer != [""]
        both = sorted((*mask.spans, *mask.inverse_spans()))
        assert [i for start, stop in both for i in range(start, stop)] == list(range(len(words)))


@given(
    secret=SECRETS,
    word_count=st.one_of(st.integers(UNITS_MIN, 80), st.integers(UNITS_MIN, 1500)),
    count=COUNTS,
    way=WAYS,
)
def test_text_masks__keep_to_their_share_and_number_of_spans(
    secret: bytes, word_count: int, count: int, way: FirstMask
) -> None:
    for mask in text_masks(secret, numbered(word_count), count, way):
        assert 1 <= len(mask.spans) <= SPANS_MAX
        assert 15 * word_count <= 100 * len(indices(mask)) <= 60 * word_count
        edges = [edge for span in mask.spans for edge in span]
        assert edges == sorted(set(edges))  # in order, none empty, none touching
        assert 0 <= edges[0] < edges[-1] <= word_count


@given(secret=SECRETS, item=ITEMS, count=COUNTS, way=WAYS)
def test_text_masks__are_a_pure_function_of_secret_item_and_index(
    secret: bytes, item: str, count: int, way: FirstMask
) -> None:
    masks = text_masks(secret, item, count, way)
    assert masks == text_masks(secret, item, count, way)
    assert masks == text_masks(secret, item, MASKS_MAX, way)[:count]
    assert all(mask != masks[0] for mask in masks[1:])


@given(secret=SECRETS, item=ITEMS, count=COUNTS)
def test_text_masks__leave_parts_of_canonical_items_canonical(secret: bytes, item: str, count: int) -> None:
    try:
        check_canonical_text(item.encode())
    except ValueError:
        return
    for mask in text_masks(secret, item, count):
        assert check_canonical_text(part(mask, item).encode()) == part(mask, item)
        assert check_canonical_text(inverse(mask, item).encode()) == inverse(mask, item)


@given(secret=SECRETS, item=ITEMS)
def test_share_ppm__is_the_floored_share_of_word_bytes(secret: bytes, item: str) -> None:
    for mask in text_masks(secret, item, 2):
        inner = len(part(mask, item).replace(" ", "").encode())
        outer = len(inverse(mask, item).replace(" ", "").encode())
        assert mask.share_ppm(units(item)) == inner * 1_000_000 // (inner + outer)
        assert 0 < mask.share_ppm(units(item)) < 1_000_000


@pytest.mark.parametrize("way", FirstMask)
@pytest.mark.parametrize("word_count", [8, 9, 40, 300])
def test_text_masks__draw_each_relation_a_third_of_the_time_within_5_sigma(
    word_count: int, way: FirstMask
) -> None:
    draws = 450
    seen = Counter[Relation]()
    for i in range(draws):
        first, second = text_masks(i.to_bytes(32, "big"), numbered(word_count), 2, way)
        seen[relation(first, second)] += 1
    assert set(seen) == set(Relation)
    assert all(abs(seen[kind] - draws / 3) < 5 * (draws * 2 / 9) ** 0.5 for kind in Relation)


@given(secret=SECRETS, word_count=st.integers(UNITS_MIN, 60), way=WAYS)
def test_text_masks__have_exactly_the_relation_their_stream_asks_for(
    secret: bytes, word_count: int, way: FirstMask
) -> None:
    item = numbered(word_count)
    first, *later = text_masks(secret, item, 9, way)
    for index, mask in enumerate(later, start=1):
        key = digest("mask", secret, item_id(item.encode()), uint(index), b"text", uint(word_count))
        wanted = tuple(Relation)[keyed_stream(key, "text mask").below(3)]
        assert relation(first, mask) is wanted


@given(secret=SECRETS, word_count=st.integers(UNITS_MIN, 200))
def test_first_mask__is_about_half_of_a_text_and_begins_or_ends_it(secret: bytes, word_count: int) -> None:
    (mask,) = text_masks(secret, numbered(word_count), 1)
    ((start, stop),) = mask.spans
    assert (start == 0) != (stop == word_count)
    assert CUT_PERCENT_MIN * word_count <= 100 * (stop - start) <= CUT_PERCENT_MAX * word_count


def test_first_mask__takes_every_length_of_either_end() -> None:
    drawn = Counter(text_masks(i.to_bytes(32, "big"), numbered(20), 1)[0].spans[0] for i in range(1200))
    ends = [(0, size) for size in range(8, 13)] + [(20 - size, 20) for size in range(8, 13)]
    assert set(drawn) == set(ends)
    # 120 each, with a standard deviation of 10.4.
    assert all(abs(drawn[end] - 120) < 52 for end in ends)


@pytest.mark.parametrize("modality", [BYTES, IMAGE])
def test_first_mask__of_what_is_not_cut_is_the_same_either_way(modality: Modality) -> None:
    data = (64).to_bytes(2, "big") * 2 + bytes(64 * 64 * 3) if modality is IMAGE else bytes(800)
    item = Units.of(modality, data)
    drawn = [masks_of(bytes(32), item, 3, way) for way in FirstMask]
    assert drawn[0] == drawn[1]


def test_text_spans__cover_every_word_alike_and_use_every_number_of_spans() -> None:
    covered, spans, draws = Counter[int](), Counter[int](), 1200
    for i in range(draws):
        (mask,) = text_masks(i.to_bytes(32, "big"), numbered(20), 1, FirstMask.SPANS)
        covered.update(indices(mask))
        spans[len(mask.spans)] += 1
    assert set(spans) == {1, 2, 3, 4}
    # The mean share is 37.5 %; single spans lie over the middle more often than over the ends.
    assert all(0.15 < covered[word] / draws < 0.55 for word in range(20))


def test_text_masks__differ_by_secret_item_and_index() -> None:
    items = [numbered(200), numbered(199) + " x"]
    secrets = [bytes(32), bytes([1]) * 32]
    masks = [mask for secret in secrets for item in items for mask in text_masks(secret, item, 3)]
    assert len(set(masks)) == 12


@pytest.mark.parametrize("word_count", range(1, UNITS_MIN))
def test_text_masks__are_none_for_items_too_short_to_part(word_count: int) -> None:
    assert text_masks(bytes(32), numbered(word_count), 3) == ()
    assert len(text_masks(bytes(32), numbered(UNITS_MIN), 3)) == 3


@pytest.mark.parametrize("count", [-1, MASKS_MAX + 1])
def test_text_masks__refuse_a_count_out_of_bounds(count: int) -> None:
    with pytest.raises(MaskError, match=f"not {count}"):
        text_masks(bytes(32), numbered(20), count)


def test_text_mask__refuses_an_item_of_another_length() -> None:
    (mask,) = text_masks(bytes(32), numbered(20), 1)
    for apply in (mask.part, mask.inverse, mask.share_ppm):
        with pytest.raises(MaskError, match="for 20 units, the item has 21"):
            apply(units(numbered(21)))
