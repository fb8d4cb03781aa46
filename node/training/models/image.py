"""The image model: a small convolutional network that looks at the patches that are not masked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu

from node.modalities import decode_view
from node.training.models.architecture import PatchNet
from node.training.models.shapes import by_shape

PATCH_PIXELS: Final = 16
NEUTRAL: Final = 128


class PatchImageNet(nn.Module):
    """Pixels with their coordinates through four convolutions of stride 2: one place for each patch.

    A convolution sees beyond its patch, where a masked neighbour looks like the edge of the image. What is
    pooled are the places of visible patches, and each place knows where it is.
    """

    def __init__(self, made_of: PatchNet) -> None:
        super().__init__()
        width = made_of.width
        widths = [6, width, 2 * width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Conv2d(below, above, 3, stride=2, padding=1) for below, above in pairwise(widths)
        )
        self.head = nn.Linear(4 * width, made_of.dimensions)

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
        pooled = (x * seen).sum(dim=(2, 3)) / seen.sum(dim=(2, 3)).clamp_min(1)  # [n, 4 width]
        answer: Tensor = self.head(pooled)
        return answer
