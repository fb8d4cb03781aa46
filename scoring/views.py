"""The answers of one shard by role: one full view, K masks and K inverses of each item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from scoring.errors import ScoringError

_MEAN_MAX = 1.001
"""No coordinate of a mean of unit rows lies beyond 1, give or take rounding; of 1e19 no square is finite."""


class Role(NamedTuple):
    """One of the 1 + 2K places a view can have among an item's views."""

    kind: Literal["full", "mask", "inverse"]
    number: int


FIRST: Final = (Role("full", 0), Role("mask", 0), Role("inverse", 0))
"""What the terms of fragments are made of: further masks are compared among encoders only."""


@dataclass(frozen=True)
class Views:
    """Answers as they came. NaN is withheld; masks and inverses of items without parts are not looked at."""

    full: Tensor
    """[N, I, D] float32."""
    mask: Tensor
    """[N, I, K, D] float32."""
    inverse: Tensor
    """[N, I, K, D] float32."""
    parts: Tensor
    """[I] bool: the item travels as masks and inverses too, not as a full view only."""

    def roles(self) -> Iterator[Role]:
        """The full view first, then each mask and its inverse."""
        yield Role("full", 0)
        if bool(self.parts.any()):
            for k in range(self.mask.shape[2]):
                yield Role("mask", k)
                yield Role("inverse", k)

    def answers(self, role: Role) -> Tensor:
        """The role's answers, [N, I, D]: a view, nothing is copied."""
        if role.kind == "full":
            return self.full
        return (self.mask if role.kind == "mask" else self.inverse)[:, :, role.number]

    def dealt(self, role: Role) -> Tensor:
        """Which items have this role, [I] bool."""
        return torch.ones_like(self.parts) if role.kind == "full" else self.parts


class Batch(NamedTuple):
    """What was dealt: the views and which items count for what."""

    views: Views
    share: Tensor
    """[I] float32: the share of mask 0 in its item; 0 without parts."""
    scored: Tensor
    """[I] bool."""
    means: Tensor | None
    """[N, D] float32; a row of NaN is unknown."""
    valid: Tensor | None
    """[N, I] bool: the dealer's."""
    probation: Tensor | None
    """[N] bool."""


def checked_batch(
    full: Tensor,
    mask: Tensor,
    inverse: Tensor,
    mask_share: Tensor,
    *,
    means: Tensor | None,
    scored: Tensor | None,
    parts: Tensor | None,
    valid: Tensor | None,
    probation: Tensor | None = None,
    items_min: int,
) -> Batch:
    """Check shapes and flags against each other and fill in the ones left out, or raise ScoringError."""
    for name, tensor in (("full", full), ("mask", mask), ("inverse", inverse)):
        if not tensor.is_floating_point():
            raise ScoringError(f"{name} is {tensor.dtype}: give floating point numbers, best of float32")
    if full.ndim != 3 or mask.ndim != 4:
        raise ScoringError(
            f"full {tuple(full.shape)} and mask {tuple(mask.shape)}: give [N,I,D] and [N,I,K,D]"
        )
    encoders, items, dimension = full.shape
    masks = mask.shape[2]
    device = full.device
    if encoders == 0 or dimension == 0:
        raise ScoringError(f"full {tuple(full.shape)}: give at least one encoder and one dimension")
    _expect("mask", mask, (encoders, items, masks, dimension))
    _expect("inverse", inverse, (encoders, items, masks, dimension))
    _expect("mask_share", mask_share, (items, masks))
    share = mask_share.to(device=device, dtype=torch.float32).nan_to_num(0.0)
    inside = ((share > 0) & (share < 1)).all(1) & (masks > 0)
    has_parts = inside if parts is None else _flags("parts", parts, (items,), device)
    if bool((has_parts & ~inside).any()):
        raise ScoringError(
            f"item {_first(has_parts & ~inside)} has parts but a mask share outside (0, 1): give each "
            "mask's share of the item, or mark the item as a full view only"
        )
    counted = has_parts if scored is None else _flags("scored", scored, (items,), device)
    if bool((counted & ~has_parts).any()):
        raise ScoringError(
            f"item {_first(counted & ~has_parts)} is scored but travels as a full view only: only items with "
            "masks can be scored, so mark it as served"
        )
    scored_count = int(counted.sum())
    if scored_count < items_min:
        raise ScoringError(
            f"{scored_count} scored items, the rule needs {items_min}: fewer say too little of an encoder, "
            "so void this shard's scores and deal more scored items in the next round"
        )
    if means is not None:
        _expect("means", means, (encoders, dimension))
        means = means.to(device=device, dtype=torch.float32).contiguous()
        unknown = means.isnan()
        if bool(means.isinf().any() or (unknown.any(1) & ~unknown.all(1)).any()):
            raise ScoringError("means hold Inf or half a row of NaN: take them from the epoch record again")
        if bool((means.abs() > _MEAN_MAX).any()):
            raise ScoringError(
                "means lie beyond 1, as no mean of unit rows: take them from the epoch record again"
            )
    views = Views(full.float(), mask.float(), inverse.float(), has_parts)
    given = None if valid is None else _flags("valid", valid, (encoders, items), device)
    new = None if probation is None else _flags("probation", probation, (encoders,), device)
    first = torch.where(has_parts, share[:, 0] if masks else 0.0, 0.0)
    return Batch(views, first, counted, means, given, new)


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ScoringError(f"{name} has shape {tuple(tensor.shape)}: the other tensors ask for {shape}")


def _flags(name: str, tensor: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    _expect(name, tensor, shape)
    if tensor.dtype is not torch.bool:
        raise ScoringError(f"{name} is {tensor.dtype}: give booleans")
    return tensor.to(device).contiguous()


def _first(flags: Tensor) -> int:
    return int(flags.nonzero()[0, 0])
