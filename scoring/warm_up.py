"""Has everything that scoring compiles compiled before the first shard is due."""

from __future__ import annotations

import torch

from scoring.rule import HARDENED
from scoring.shard_scores import score_shard

_ENCODERS, _MASKS, _DIMENSION = 4, 1, 32


def warm_up(device: str = "cpu") -> None:
    """Score a tiny shard. The first time on a machine it takes 15 s of compiling; what comes of it is kept.

    The answers are laid out as a validator's, [encoder, item, role, D]: kernels are compiled for a layout.
    """
    roles = 1 + 2 * _MASKS
    shape = (_ENCODERS, HARDENED.items_min, roles, _DIMENSION)
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float32, device=device)
    slab = torch.nn.functional.normalize((numbers * 1.7).sin().view(shape), dim=-1)
    slab[0, 0] = torch.nan  # withheld
    share = torch.full((shape[1], _MASKS), 0.5, device=device)
    score_shard(slab[:, :, 0], slab[:, :, 1 : 1 + _MASKS], slab[:, :, 1 + _MASKS :], share)
