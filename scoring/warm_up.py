"""Has everything that scoring compiles compiled before the first shard is due."""

from __future__ import annotations

import numpy as np
import torch

from scoring import compiled
from scoring.centring import centred, shard_means
from scoring.consensus import consensus
from scoring.role_distances import squared_distances
from scoring.rule import HARDENED
from scoring.shard_scores import score_shard
from scoring.views import Role, Views
from scoring.weights import capped

_ENCODERS, _MASKS, _DIMENSION = 4, 1, 32


def warm_up(device: str = "cpu") -> None:
    """Score a tiny shard. The first time on a machine it takes 18 s of compiling; what comes of it is kept.

    The answers are laid out as a validator's, [encoder, item, role, D]: kernels are compiled for a layout.
    """
    roles = 1 + 2 * _MASKS
    shape = (_ENCODERS, HARDENED.items_min, roles, _DIMENSION)
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float32, device=device)
    # Encoders agree on every item, each in its own way: where nobody is anybody's peer scoring ends early and
    # half of the kernels would be compiled in the first round.
    agreed = (torch.arange(shape[1] * _DIMENSION, device=device) * 1.7).sin().view(1, shape[1], 1, _DIMENSION)
    slab = torch.nn.functional.normalize(agreed + 0.4 * (numbers * 0.37).sin().view(shape), dim=-1)
    slab[0, 0] = torch.nan  # withheld
    share = torch.full((shape[1], _MASKS), 0.5, device=device)
    full, mask, inverse = slab.tensor_split((1, 1 + _MASKS), dim=2)
    score_shard(full[:, :, 0], mask, inverse, share)
    if compiled.serves(slab):
        # Distances of large shards are not kept: they are measured where they are needed.
        views = Views(full[:, :, 0], mask, inverse, torch.ones(shape[1], dtype=torch.bool))
        answers = centred(views, shard_means(views))[Role("full", 0)]
        list(squared_distances(answers, np.arange(_ENCODERS)))
        # Nobody scores here: what caps weights and mixes the answers of those who do is not called by then.
        consensus(answers, torch.ones(_ENCODERS), torch.ones(shape[:2], dtype=torch.bool))
        capped(torch.full((_ENCODERS,), 1 / _ENCODERS), torch.eye(_ENCODERS), 0.5)
