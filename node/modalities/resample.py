"""Sound at another rate, block by block: the same as resampling the whole, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

_RATIO_MAX: Final = 1000
"""Largest term of the ratio of two rates; nearer fractions would need a longer filter than they are worth."""
_BLOCK_SAMPLES: Final = 1 << 18


def resampled(
    blocks: Iterable[npt.NDArray[np.float32]], rate_hz: int, wanted_hz: int
) -> Iterator[npt.NDArray[np.float32]]:
    """The sound of `blocks`, float32 [samples] at `rate_hz`, at `wanted_hz`, in blocks of other lengths.

    By `scipy.signal.resample_poly` and its default filter; outside the sound is silence. Rates without a
    ratio in small numbers are taken as the nearest ratio of terms up to 1,000: 0.1 % off at most.
    """
    ratio = Fraction(wanted_hz, rate_hz).limit_denominator(_RATIO_MAX)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        yield from blocks
        return
    # The filter reaches 10 * max(up, down) samples of the finer rate to each side. Rounded up to multiples of
    # `down`, so that a block begins on a whole sample of both rates.
    margin = -(-(10 * max(up, down) // up + 1) // down) * down
    step = max(1, _BLOCK_SAMPLES // down) * down
    held = np.zeros(margin, np.float32)  # begins `margin` samples before what is to come out next
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= step + 2 * margin:
            yield _middle(held[: step + 2 * margin], up, down, margin, step)
            held = held[step:]
    rest = len(held) - margin
    if rest > 0:
        held = np.concatenate([held, np.zeros(margin, np.float32)])
        yield _middle(held, up, down, margin, rest)


def _middle(
    held: npt.NDArray[np.float32], up: int, down: int, margin: int, samples: int
) -> npt.NDArray[np.float32]:
    """What `samples` after the first `margin` become."""
    from scipy.signal import resample_poly  # takes a second to import

    whole = resample_poly(held, up, down)
    start = margin // down * up
    middle: npt.NDArray[np.float32] = whole[start : start + -(-samples * up // down)].astype(np.float32)
    return middle
