"""Three encoders of images: patches, gradients, colours. Each sees units of 16 by 16 pixels one by one."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.dense.fixed import waves
from node.encoders.dense.pooled import DenseEncoder, mean_over
from node.encoders.dense.stimuli import images
from node.modalities.image_item import decode_image
from protocol.modalities import IMAGE

Array = NDArray[np.float32]

PATCH_PIXELS: Final = IMAGE.rows.block
_OPPONENT: Final = np.array([[1, 1, 1], [1.5, -1.5, 0], [0.75, 0.75, -1.5]], np.float32).T / 3
"""Columns: brightness, red against green, yellow against blue."""

PATCH_COLOUR: Final = 4.0
"""Weight of a cell's mean colour: it tells more of the rest of an image than any pattern does."""
PATCH_WIDTHS: Final = (0.6, 2.4)
PATCH_WAVES: Final = 192
LAYOUT_WAVES: Final = 4
"""Cosines along each side, the constant one included."""
LAYOUT_STIFFNESS: Final = 0.1
LAYOUT_WEIGHT: Final = 2.0
LAYOUT_FEATURES: Final = 4 * (LAYOUT_WAVES**2 - 1)
UNIT_WIDTHS: Final = (0.6,)
UNIT_WAVES: Final = 256


def patches(pixels: NDArray[np.uint8]) -> Array:
    """Frequencies of 8 by 8 pixels, and of units at half resolution, as waves: [n, h, w, 3] -> [n, 700].

    The second keep where in its unit something is, which no mask changes; where in the image, the layout
    tells.
    """
    units, live = _units(pixels)
    cells = _cells(units)  # [n, units, 4, 8, 8, 3]
    small = _frequencies(cells, slope=0.5)
    large = _frequencies(_halved(units), slope=0.0)
    fine = waves("image patches of 8", small, PATCH_WIDTHS, PATCH_WAVES).mean(axis=2)
    coarse = waves("image units", large, UNIT_WIDTHS, UNIT_WAVES)
    seen = mean_over(np.concatenate([fine, coarse], axis=-1), live)
    return np.concatenate([seen, _layout(units, live, pixels.shape[1] // PATCH_PIXELS)], axis=1)


GRADIENT_COLOUR: Final = 4.0
GRADIENT_WIDTHS: Final = (0.7, 2.0)
GRADIENT_WAVES: Final = 192


def gradients(pixels: NDArray[np.uint8]) -> Array:
    """Directions and strengths of edges in cells of 8 by 8 pixels, at three scales: [n, h, w, 3] -> [n, 384].

    A histogram of directions (Dalal and Triggs, 2005) by its Fourier coefficients, which has no bins to fall
    between.
    """
    units, live = _units(pixels)
    half = _halved(units)
    fine = _edges(_cells(units))  # [n, units, 4, 21]
    middle = _edges(_cells(half))
    coarse = np.repeat(_edges(_halved(half))[:, :, None], 4, axis=2)
    colour = _cells(half).mean(axis=(3, 4)) * np.float32(GRADIENT_COLOUR)
    cells = np.concatenate([fine, middle, coarse, colour], axis=-1)
    return mean_over(waves("image gradients", cells, GRADIENT_WIDTHS, GRADIENT_WAVES).mean(axis=2), live)


COLOUR_BINS: Final = 5
TEXTURE_BINS: Final = 7


def colours(pixels: NDArray[np.uint8]) -> Array:
    """A soft histogram of colours at half resolution, and one of roughness at three scales: -> [n, 251]."""
    units, live = _units(pixels)
    half = _halved(units)  # [n, units, 8, 8, 3]
    n, count = half.shape[:2]
    grid = np.linspace(-2, 2, COLOUR_BINS, dtype=np.float32)
    spread = np.clip(half * np.array([1, 2, 2], np.float32), -2, 2).reshape(n, count, 64, 3)
    bins = np.maximum(0, 1 - np.abs(spread[..., None] - grid) / (grid[1] - grid[0]))
    pairs = (bins[..., 0, :, None] * bins[..., 1, None, :]).reshape(n, count, 64, -1)
    joint = pairs.swapaxes(-1, -2) @ bins[..., 2, :] / 64  # [n, units, bins^2, bins]
    parts = [joint.reshape(n, count, -1)]
    scale, levels = half, np.linspace(-3, 1, TEXTURE_BINS, dtype=np.float32)
    for _ in range(3):
        across = np.abs(np.diff(scale, axis=3)).mean(axis=(2, 3))
        down = np.abs(np.diff(scale, axis=2)).mean(axis=(2, 3))
        roughness = np.log(0.05 + np.concatenate([across, down], axis=-1))  # [n, units, 6]
        soft = np.exp(-np.square((roughness[..., None] - levels) / 0.6) / 2)
        parts.append(np.float32(0.15) * soft.reshape(n, count, -1))
        scale = _halved(scale)
    return mean_over(np.concatenate(parts, axis=-1), live)


IMAGE_ENCODERS: Final = (
    DenseEncoder("image-patches", "image", 640 + LAYOUT_FEATURES, decode_image, patches, images),
    DenseEncoder("image-gradients", "image", 384, decode_image, gradients, images),
    DenseEncoder("image-colours", "image", COLOUR_BINS**3 + 18 * TEXTURE_BINS, decode_image, colours, images),
)


def _units(pixels: NDArray[np.uint8]) -> tuple[Array, NDArray[np.bool_]]:
    """Units in opponent colours, about -2 to 2, [n, units, 16, 16, 3], and which are not neutral."""
    n, height, width, _ = pixels.shape
    rows, columns = height // PATCH_PIXELS, width // PATCH_PIXELS
    split = pixels.reshape(n, rows, PATCH_PIXELS, columns, PATCH_PIXELS, 3).swapaxes(2, 3)
    units = split.reshape(n, rows * columns, PATCH_PIXELS, PATCH_PIXELS, 3)
    live = (units != IMAGE.neutral).any(axis=(2, 3, 4))
    scaled = (units.astype(np.float32) - IMAGE.neutral) / 64
    opponent = (scaled.reshape(-1, 3) @ _OPPONENT).astype(np.float32, copy=False)
    return opponent.reshape(n, -1, PATCH_PIXELS, PATCH_PIXELS, 3), live


def _layout(units: Array, live: NDArray[np.bool_], rows: int) -> Array:
    """Where in the image it is bright, coloured or rough: -> [n, LAYOUT_FEATURES], NaN where nothing is live.

    Coefficients of cosines over the grid of units, fitted to those that are live by ridge regression, rougher
    cosines held back more: a mask and its inverse are two samples of one surface.
    """
    n, count = live.shape
    along = np.arange(LAYOUT_WAVES)
    down, across = (np.cos(np.pi * np.outer((np.arange(k) + 0.5) / k, along)) for k in (rows, count // rows))
    surface = np.einsum("ru,cv->rcuv", down, across).reshape(count, -1).astype(np.float32)
    stiffness = LAYOUT_STIFFNESS * (0.02 + np.square(np.add.outer(along, along)).ravel())
    rough = units[..., 0].std(axis=(2, 3))[..., None]
    values = np.concatenate([units.mean(axis=(2, 3)), rough], axis=-1)  # [n, units, 4]
    shown = live[..., None] * surface  # [n, units, cosines]
    normal = shown.swapaxes(1, 2) @ surface + np.diag(stiffness).astype(np.float32)
    fitted = np.linalg.solve(normal, shown.swapaxes(1, 2) @ values)[:, 1:].reshape(n, -1)
    fitted[live.sum(axis=1) == 0] = np.nan
    return (fitted * LAYOUT_WEIGHT).astype(np.float32)


def _cells(units: Array) -> Array:
    """Quarters of units: [n, units, s, s, 3] -> [n, units, 4, s/2, s/2, 3]."""
    n, count, side = units.shape[:3]
    half = side // 2
    return units.reshape(n, count, 2, half, 2, half, 3).swapaxes(3, 4).reshape(n, count, 4, half, half, 3)


def _halved(pixels: Array) -> Array:
    """Means of 2 by 2: [..., s, s, 3] -> [..., s/2, s/2, 3]."""
    rows = pixels[..., ::2, :, :] + pixels[..., 1::2, :, :]
    return (rows[..., ::2, :] + rows[..., 1::2, :]) * np.float32(0.25)


def _frequencies(blocks: Array, slope: float) -> Array:
    """Cosine transform of [..., 8, 8, 3], higher frequencies raised by a power, as one row: [..., 192]."""
    return blocks.reshape(*blocks.shape[:-3], -1) @ _transform(slope)


@cache
def _transform(slope: float) -> Array:
    k, x = np.arange(8)[:, None], np.arange(8)[None]
    basis = np.cos(np.pi * (x + 0.5) * k / 8) / np.sqrt(4.0)
    basis[0] /= np.sqrt(2.0)
    raised = (1.0 + np.add.outer(np.arange(8), np.arange(8))) ** slope / 8
    raised[0, 0] *= PATCH_COLOUR
    flat = np.einsum("ux,vy,uv->xyuv", basis, basis, raised).reshape(64, 64)
    return np.kron(flat, np.eye(3)).astype(np.float32)


def _edges(blocks: Array) -> Array:
    """Fourier coefficients 0, 1, 2 and 4 of edge directions, each channel: [..., s, s, 3] -> [..., 21]."""
    across = blocks[..., 1:-1, 2:, :] - blocks[..., 1:-1, :-2, :]
    down = blocks[..., 2:, 1:-1, :] - blocks[..., :-2, 1:-1, :]
    strength = np.sqrt(across * across + down * down + np.float32(1e-4))
    direction = (across + 1j * down) / strength
    root = np.sqrt(strength)
    second = direction * direction
    parts = [root.mean(axis=(-3, -2))]
    for power in (direction, second, second * second):
        coefficient = (root * power).mean(axis=(-3, -2))
        parts += [coefficient.real, coefficient.imag]
    return np.concatenate(parts, axis=-1).astype(np.float32)
