"""Probes: fragments that come back in wave 3, slightly cut, to see whether their committed answers were bent.

An encoder that knew a full view too early bends the answer to a fragment towards it. The same fragment,
less a few words, looks like one more mask: what it then answers honestly lies beside the bent answer, and the
difference points at the full view. Which fragments come back, and which words they lose, is drawn from the
mask secret, so that attesters draw them again.
"""

from __future__ import annotations

from typing import Final

from protocol.hashing import Xof, digest, keyed_stream

PROBE_SHARE_PPM: Final = 12_500
"""Of the views of a batch's scored items."""
WORDS_A_CUT: Final = 40
"""Of so many words, begun or complete, a probe lacks one."""
WORDS_DRAWN: Final = 3
"""The shortest of so many is the one it lacks: the less a missing word says, the smaller a bend shows."""
INVERSES_OF: Final = 4
"""All but one probe of so many are of the inverse: longer, and the only part that can be forged in wave 2."""
FRAGMENT_WORDS_MIN: Final = 4
"""A shorter fragment would be another text without a word. Every masked item has one as long."""

_PPM: Final = 1_000_000


def probe_count(scored_items: int, masks_per_item: int) -> int:
    """How many probes a batch has: a share of its scored items' views, rounded up; one an item at most."""
    views = scored_items * (1 + 2 * masks_per_item)
    return min(scored_items, -(-views * PROBE_SHARE_PPM // _PPM))


def probed_items(secret: bytes, scored: list[int], masks_per_item: int) -> list[int]:
    """Which items of a batch have a fragment that comes back, of the places of the scored ones; ascending."""
    order = keyed_stream(secret, "probed items").shuffle(scored)
    return sorted(order[: probe_count(len(scored), masks_per_item)])


def probe_text(secret: bytes, name: bytes, parts: tuple[str, str]) -> tuple[bool, str]:
    """Whether the inverse of mask 0 comes back (else the mask), and what is left of its words.

    `name` is the item's id, `parts` its mask 0 and the inverse. The inverse is drawn three times as often;
    where the one drawn has under FRAGMENT_WORDS_MIN words it is the other.
    """
    stream = keyed_stream(digest("probe", secret, name), "probe words")
    drawn = stream.below(INVERSES_OF) > 0
    short = len(parts[drawn].split(" ")) < FRAGMENT_WORDS_MIN
    of_inverse = drawn != short
    return of_inverse, _cut(stream, parts[of_inverse].split(" "))


def _cut(stream: Xof, words: list[str]) -> str:
    """The words in their order, less one for every WORDS_A_CUT, each the shortest of WORDS_DRAWN."""
    left = list(range(len(words)))
    for _ in range(-(-len(words) // WORDS_A_CUT)):
        drawn = [left[stream.below(len(left))] for _ in range(WORDS_DRAWN)]
        left.remove(min(drawn, key=lambda place: len(words[place].encode())))
    return " ".join(words[place] for place in left)
