"""The image model: a small convolutional network that looks at the patches that are not masked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, gelu

from node.modalities import decode_view
from node.training.models.architecture import PatchNet
from node.training.models.shapes import by_shape

PATCH_PIXELS: Final = 16
NEUTRAL: Final = 128
GRID: Final = 4
"""An image of any size is pooled into so many cells by so many."""
SHARE_MIN: Final = 1e-3


class PatchImageNet(nn.Module):
    """Pixels with their coordinates through three convolutions of stride 2: four places for each patch.

    A convolution sees beyond its patch, where a masked neighbour looks like the edge of the image. Visible
    places are averaged in each cell of a grid; a cell that is all hidden is zero.
    """

    def __init__(self, made_of: PatchNet) -> None:
        super().__init__()
        width = made_of.width
        widths = [6, width, 2 * width, 2 * width]
        self.layers = nn.ModuleList(
            nn.Conv2d(below, above, 3, stride=2, padding=1) for below, above in pairwise(widths)
        )
        self.head = nn.Linear(2 * width * GRID**2, made_of.dimensions)

    def forward(self, views: Sequence[bytes]) -> Tensor:
        """[n, dimensions]; views of any sizes, those of a size together."""
        device = self.head.weight.device
        pixels = [np.asarray(decode_view("image", view), np.uint8) for view in views]
        return by_shape(pixels, self.head.out_features, device, self._of_a_shape)

    def _of_a_shape(self, stack: NDArray[np.generic]) -> Tensor:
        device = self.head.weight.device
        raw = torch.from_numpy(stack).to(device).permute(0, 3, 1, 2)  # [n, 3, h, w] uint8
        hidden = (raw == NEUTRAL).all(dim=1, keepdim=True).float()
        seen = (avg_pool2d(hidden, PATCH_PIXELS) < 1).float()  # [n, 1, h/16, w/16]
        shown = seen.repeat_interleave(PATCH_PIXELS, dim=2).repeat_interleave(PATCH_PIXELS, dim=3)
        rows = torch.linspace(-1, 1, raw.shape[2], device=device)[:, None].expand(raw.shape[2:])
        columns = torch.linspace(-1, 1, raw.shape[3], device=device).expand(raw.shape[2:])
        places = torch.stack((rows, columns)).expand(len(raw), 2, *raw.shape[2:])
        x = torch.cat(((raw.float() - NEUTRAL) / NEUTRAL, places * shown, shown), dim=1)
        for layer in self.layers:
            x = gelu(layer(x))
        seen = shown[
            :, :, :: shown.shape[2] // x.shape[2], :: shown.shape[3] // x.shape[3]
        ]  # [n, 1, h/8, w/8]
        part = adaptive_avg_pool2d(seen, GRID)
        pooled = adaptive_avg_pool2d(x * seen, GRID) / part.clamp_min(SHARE_MIN)  # [n, 2 width, GRID, GRID]
        answer: Tensor = self.head(pooled.flatten(1))
        return answer
