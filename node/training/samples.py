"""Data to train on that need no network: prose of Python's documentation, digits, and generated signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.corpus import python_pool
from node.modalities.image_item import encode_image
from node.modalities.series_item import encode_series
from node.training.training_set import TrainingSet

DIGIT_PIXELS: Final = 64
"""Side of a digit: 16 patches, enough to be masked."""
ACTIVITIES: Final = 6
RECORDINGS: Final = 12
WINDOWS_EACH: Final = 90
STEPS: Final = 64
CHANNELS: Final = 3


def sample_text() -> TrainingSet:
    """Python's own documentation: a ninth of what a validator challenges with unless told otherwise."""
    return TrainingSet("text", tuple(python_pool()))


def sample_images(side_pixels: int = DIGIT_PIXELS) -> TrainingSet:
    """scikit-learn's handwritten digits, 1,797 of 8 x 8 grey values, enlarged; labelled 0 to 9."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # [n, 8, 8]
    large = grey.repeat(side_pixels // 8, axis=1).repeat(side_pixels // 8, axis=2)
    items = tuple(encode_image(np.repeat(one[:, :, None], 3, axis=2)) for one in large)
    return TrainingSet("image", items, labels=digits.target.astype(np.int64))


def sample_series(seed: int = 0) -> TrainingSet:
    """Generated recordings of someone who changes between activities: three channels, labelled by activity.

    An activity is a rhythm of two frequencies with its own share in each channel. Who records has their own
    pace and strength, phases run on, and there is noise: two windows of one activity look alike in rhythm,
    not step by step. It lasts 4 to 12 windows, so that a window's neighbours mostly are of the same activity.
    """
    draw = np.random.default_rng((seed, 0x5E))
    rhythms = draw.uniform(0.02, 0.2, (ACTIVITIES, 2))  # cycles a step
    shares = draw.normal(0, 1, (ACTIVITIES, 2, CHANNELS))
    items: list[bytes] = []
    labels: list[NDArray[np.int64]] = []
    for _ in range(RECORDINGS):
        of_window = _activities(draw)
        values = _recorded(of_window.repeat(STEPS), rhythms, shares, draw)  # [steps, channels]
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        items += [encode_series(window) for window in values.reshape(WINDOWS_EACH, STEPS, CHANNELS)]
        labels.append(of_window)
    recordings = np.arange(RECORDINGS).repeat(WINDOWS_EACH)
    return TrainingSet("series", tuple(items), labels=np.concatenate(labels), recordings=recordings)


SAMPLES: Final[dict[str, Callable[[], TrainingSet]]] = {
    "text": sample_text,
    "image": sample_images,
    "series": sample_series,
}


def _activities(draw: np.random.Generator) -> NDArray[np.int64]:
    found: list[int] = []
    while len(found) < WINDOWS_EACH:
        found += [int(draw.integers(ACTIVITIES))] * int(draw.integers(4, 13))
    return np.array(found[:WINDOWS_EACH], np.int64)


def _recorded(
    of_step: NDArray[np.int64],
    rhythms: NDArray[np.float64],
    shares: NDArray[np.float64],
    draw: np.random.Generator,
) -> NDArray[np.float64]:
    pace = draw.normal(1.0, 0.08)
    strength = draw.uniform(0.7, 1.3, CHANNELS)
    phases = 2 * np.pi * np.cumsum(rhythms[of_step] * pace, axis=0)  # [steps, 2]
    phases += draw.uniform(0, 2 * np.pi, 2)
    signal = np.einsum("sk,skc->sc", np.sin(phases), shares[of_step])
    noisy: NDArray[np.float64] = signal * strength + draw.normal(0, 0.8, signal.shape)
    return noisy
