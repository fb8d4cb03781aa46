"""Losses that embeddings are trained with: each a pure function of rows, the mean over a batch."""

from scoring.losses.contrastive import contrastive
from scoring.losses.differential import differential, differential_literal
from scoring.losses.distillation import distillation
from scoring.losses.n_pair import info_nce, n_pair
from scoring.losses.triplet import Distance, generalized_triplet, triplet

__all__ = [
    "Distance",
    "contrastive",
    "differential",
    "differential_literal",
    "distillation",
    "generalized_triplet",
    "info_nce",
    "n_pair",
    "triplet",
]
