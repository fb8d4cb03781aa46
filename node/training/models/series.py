"""The series model: convolutions along time over values and over which of them are masked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, gelu

from node.modalities import decode_view
from node.training.errors import TrainingError
from node.training.models.architecture import StepNet
from node.training.models.shapes import by_shape

SPAN_STEPS: Final = 8


class StepSeriesNet(nn.Module):
    """8 neutral values of a channel are a masked block: the network is told, and pools no step all hidden."""

    def __init__(self, made_of: StepNet) -> None:
        super().__init__()
        self.made_of = made_of
        width = made_of.width
        widths = [2 * made_of.channels, width, width, width]
        self.layers = nn.ModuleList(
            nn.Conv1d(below, above, 5, stride=1 if index == 0 else 2, padding=2)
            for index, (below, above) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(2 * width, made_of.dimensions)

    def forward(self, views: Sequence[bytes]) -> Tensor:
        """[n, dimensions]; views of any lengths, of as many channels as the model has."""
        values = [np.asarray(decode_view("series", view), np.float32) for view in views]
        for one in values:
            if one.shape[1] != self.made_of.channels:
                raise TrainingError(
                    f"the model is for series of {self.made_of.channels} channels, this one has "
                    f"{one.shape[1]}: train one for yours"
                )
        return by_shape(values, self.head.out_features, self.head.weight.device, self._of_a_shape)

    def _of_a_shape(self, stack: NDArray[np.generic]) -> Tensor:
        raw = torch.from_numpy(stack).to(self.head.weight.device).permute(0, 2, 1)  # [n, channels, steps]
        blocks = avg_pool1d((raw == 0).float(), SPAN_STEPS) < 1  # [n, channels, steps / 8]
        shown = blocks.float().repeat_interleave(SPAN_STEPS, dim=2)
        x = torch.cat((raw, shown), dim=1)
        for layer in self.layers:
            x = gelu(layer(x))
        seen = shown.amax(dim=1, keepdim=True)[:, :, :: shown.shape[2] // x.shape[2]]  # [n, 1, steps / 4]
        mean = (x * seen).sum(dim=2) / seen.sum(dim=2).clamp_min(1)
        most = (x * seen).amax(dim=2)
        answer: Tensor = self.head(torch.cat((mean, most), dim=1))
        return answer
