"""Views of several shapes through a network that takes stacks of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def by_shape(
    arrays: Sequence[NDArray[np.generic]],
    dimensions: int,
    device: torch.device,
    embed: Callable[[NDArray[np.generic]], Tensor],
) -> Tensor:
    """Rows [n, dimensions] in the order of the arrays; `embed` gets those of one shape as one stack."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, array in enumerate(arrays):
        places.setdefault(array.shape, []).append(place)
    if not places:
        return torch.zeros(0, dimensions, device=device)
    parts = [embed(np.stack([arrays[place] for place in found])) for found in places.values()]
    order = torch.tensor([place for found in places.values() for place in found], device=device)
    return torch.cat(parts)[order.argsort()]
