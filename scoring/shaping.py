"""Spectral shaping: the published consensus, with the directions that everything shares turned down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from scoring.rule import HARDENED

_RIDGE: Final = 0.01
"""Added to every eigenvalue, in mean eigenvalues: directions the past says nothing about stay bounded."""
_NORM_MIN: Final = 1e-12


@dataclass(frozen=True)
class Shaping:
    """The transform of one epoch, fitted on the consensus of past rounds."""

    mean: Tensor
    """[D] float64."""
    transform: Tensor
    """T [D, D] float64, symmetric."""

    def apply(self, consensus: Tensor) -> Tensor:
        """Published embeddings hat((c - mean) T). Raw consensus [I, D] -> [I, D] float32 at unit norm.

        A row that is not finite, or equals the mean, has no direction: its row is NaN.
        """
        shaped = (consensus.double() - self.mean) @ self.transform  # [I, D] @ [D, D]
        norm = torch.linalg.vector_norm(shaped, dim=1, keepdim=True)
        known = norm.isfinite() & (norm > _NORM_MIN)
        return torch.where(known, shaped / norm.clamp_min(_NORM_MIN), torch.nan).float()


def no_shaping(dimension: int) -> Shaping:
    """The transform of epoch 0, which has no past: mean zero and the identity."""
    return Shaping(torch.zeros(dimension, dtype=torch.float64), torch.eye(dimension, dtype=torch.float64))


def fit_shaping(consensus: Tensor, power: float = HARDENED.shaping_power) -> Shaping:
    """Fit mean and T = V (Lambda + .01 mean Lambda)^(-power) V^T to raw consensus vectors [I, D].

    V Lambda V^T is their covariance, in float64; T is scaled so that no direction is lengthened. Rows that
    are not finite are left out. With fewer rows than dimensions the directions never seen share the ridge's
    factor; without any spread (no row, one row, all equal) T is the identity.
    """
    rows = consensus[consensus.isfinite().all(1)].double()  # [J, D]
    dimension = consensus.shape[1]
    identity = no_shaping(dimension)
    if len(rows) == 0:
        return Shaping(identity.mean.to(rows.device), identity.transform.to(rows.device))
    mean = rows.mean(0)
    apart = rows - mean
    covariance = apart.T @ apart / len(rows)  # [D, J] @ [J, D]
    return _shaping(mean, covariance, rows.square().sum(1).mean(), power)


def shaping_from_moments(mean: Tensor, products: Tensor, power: float = HARDENED.shaping_power) -> Shaping:
    """As `fit_shaping`, from the mean [D] and the mean outer product [D, D] of the vectors, in float64."""
    return _shaping(mean, products - torch.outer(mean, mean), products.trace(), power)


def _shaping(mean: Tensor, covariance: Tensor, mean_square: Tensor, power: float) -> Shaping:
    eigenvalues, vectors = torch.linalg.eigh(covariance)  # [D] ascending, [D, D]
    spread = eigenvalues.clamp_min(0)  # rounding leaves some below zero
    ridge = _RIDGE * spread.mean()
    if not bool(ridge > torch.finfo(torch.float64).eps * mean_square):
        return Shaping(mean, torch.eye(len(mean), dtype=torch.float64, device=mean.device))
    factor = (1 + spread / ridge).pow(-power)  # (Lambda + ridge)^(-power), 1 where nothing was seen
    transform = (vectors * factor) @ vectors.T  # [D, D] @ [D, D]
    return Shaping(mean, (transform + transform.T) / 2)
