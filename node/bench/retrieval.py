"""The held-out task that says how good an embedding is: a text's first half must find its second half.

Nothing of it is known to the scoring rule: other texts, cut at their middle and not by masks. The figure is
the mean reciprocal rank rather than the share of first places: it moves with every rank, so that some hundred
texts tell encoders apart that a share of first places does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from scoring.projection import unit


def halves(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first and the second half of each text by words; an odd word goes to the second."""
    words = [text.split() for text in texts]
    firsts = [" ".join(some[: len(some) // 2]) for some in words]
    return firsts, [" ".join(some[len(some) // 2 :]) for some in words]


GALLERY_TEXTS: Final = 512
"""Second halves among which one must be found; more texts make further galleries, not a larger one."""


def mean_reciprocal_rank_of_galleries(first: Tensor, second: Tensor) -> float:
    """Mean reciprocal rank over galleries of GALLERY_TEXTS texts, the last of them maybe smaller. [Q, D]."""
    galleries = [slice(start, start + GALLERY_TEXTS) for start in range(0, len(first), GALLERY_TEXTS)]
    found = [mean_reciprocal_rank(first[rows], second[rows]) * len(first[rows]) for rows in galleries]
    return sum(found) / len(first)


def mean_reciprocal_rank(first: Tensor, second: Tensor) -> float:
    """Mean over texts of 1 / rank of the own second half among all second halves, by cosine.

    first, second: [Q, D]. A tie counts against the embedding, and so does a row that is not finite: whoever
    answers one vector to everything finds nothing.
    """
    if first.shape != second.shape or len(first) == 0:
        raise ValueError(
            f"{tuple(first.shape)} against {tuple(second.shape)}: give two equal, not empty sets"
        )
    cosine = unit(first.nan_to_num()) @ unit(second.nan_to_num()).T  # [Q, D] @ [D, Q]
    own = cosine.diagonal()[:, None]
    nearer = (cosine >= own).sum(1)  # itself included: rank 1 where no other is as near
    answered = first.isfinite().all(1) & second.isfinite().all(1)
    rank = torch.where(answered, nearer, len(first))
    return float((1 / rank.double()).mean())
