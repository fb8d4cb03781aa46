"""Who is whose peer: encoders that answer, and that agree with a majority over the shard as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers
from scoring.compiled.pairs import cosine_sums
from scoring.memory import chunk_items
from scoring.pair_sums import row_slices, rows_from_below
from scoring.role_distances import squared_distances
from scoring.rule import ScoringRule


def live_encoders(valid: Tensor, rule: ScoringRule) -> Tensor:
    """Who has at least the least share of valid items. [N, I] -> [N] bool."""
    return valid.sum(1) >= rule.live_share_min * valid.shape[1]


def peer_agreement(full: Answers, answered: Tensor, rule: ScoringRule) -> Tensor:
    """How far each encoder agrees with a majority over the shard's full views; NaN if it is not live.

    The k-th largest of its mean cosines with the others, k as many as can collude. answered [N, I] -> [N]
    float64. A space of its own agrees with nobody over many items, far below what a single cosine could tell.
    """
    live = live_encoders(answered, rule)
    sums, items = _cosine_sums(full, answered & live[:, None], rule.lof_max_bytes), answered.shape[1]
    k = min(rule.minority(int(live.sum())), max(1, len(live) - 1))
    found = torch.full_like(sums[0], torch.nan)
    for part in row_slices(len(live)):
        cosine = rows_from_below(sums, part).div_(items)
        cosine.diagonal(part.start).fill_(-torch.inf)  # nobody is a peer of its own
        found[part] = cosine.topk(k, dim=1).values[:, -1]
    return torch.where(live, found, torch.nan)


def _cosine_sums(answers: Answers, answered: Tensor, max_bytes: int) -> Tensor:
    """Sum over the items of every two encoders' cosine, where both answered. [N, I] -> [N, N].

    Only what is below the diagonal means anything.
    """
    encoders = len(answered)
    total = torch.zeros(encoders, encoders, dtype=torch.float64, device=answered.device)
    everyone = torch.arange(encoders, device=answered.device)
    if compiled.serves(answered):
        here = answered.T.contiguous().numpy()
        for part, squared in squared_distances(answers, everyone.numpy()):
            cosine_sums(squared, here[part], total.numpy())
        return total
    for some in chunk_items(answers.raw, encoders, max_bytes):
        rows = answers.rows(some, everyone) * answered.T[some][:, :, None]  # [b, N, D]
        flat = rows.transpose(0, 1).flatten(1)
        total += (flat @ flat.T).double()
    return total
