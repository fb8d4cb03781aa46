"""A batch: items, their masks, and the three waves of views that encoders are asked to embed.

A pure function of (secret, items): the dealer plans it, attesters plan it again from the report. Items and
the views of each wave are shuffled by the secret, so that an encoder can tell neither scored from served
items, nor which inverse belongs to which mask, nor probes from further masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec

from protocol.codec import Record, decode, encode
from protocol.genesis import VIEWS_MAX, WAVE_BYTES_MAX
from protocol.hashing import Xof, digest, keyed_stream
from protocol.masks import UNITS_MIN, FirstMask, masks_of
from protocol.messages import WAVES
from protocol.modalities import ITEM_BYTES_MAX, TEXT, Modality, Units
from protocol.probes import probe_view, probed_items
from protocol.sealing import seal, unseal, wave_key

VIEW_ID_BYTES = 16
PLANS_KEPT = 2
"""Batches remembered: to deal one, to audit it and to check it again ask for the same plan."""
PPM = 1_000_000


class Role(StrEnum):
    """What part of an item a view is."""

    FULL = "full"
    MASK = "mask"
    INVERSE = "inverse"
    MASK_PROBE = "mask-probe"
    """Mask 0 once more, less a few units."""
    INVERSE_PROBE = "inverse-probe"
    """The inverse of mask 0 once more, less a few units."""


PROBES = (Role.MASK_PROBE, Role.INVERSE_PROBE)


@dataclass(frozen=True, slots=True)
class View:
    """One thing to embed: the full item, one of its masks, that mask's inverse, or a probe."""

    item: int
    role: Role
    mask: int
    data: bytes

    @property
    def wave(self) -> int:
        """Mask 0 travels first, its inverse second, everything else last."""
        if self.mask > 0 or self.role not in (Role.MASK, Role.INVERSE):
            return 3
        return 1 if self.role is Role.MASK else 2


class WaveView(Record, frozen=True):
    """A view as an encoder sees it."""

    view_id: Annotated[bytes, msgspec.Meta(min_length=VIEW_ID_BYTES, max_length=VIEW_ID_BYTES)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=ITEM_BYTES_MAX)]


class WavePayload(Record, frozen=True):
    """What a wave's ciphertext holds."""

    views: Annotated[tuple[WaveView, ...], msgspec.Meta(max_length=VIEWS_MAX)]


@dataclass(frozen=True, slots=True)
class Batch:
    """The plan of one shard-round's batch, in batch order."""

    items: tuple[bytes, ...]
    scored: tuple[bool, ...]
    mask_share_ppm: tuple[tuple[int, ...], ...]
    """[items][masks]: the mask's share of the item; empty for items too short to mask."""
    waves: tuple[tuple[View, ...], ...]
    """Views of waves 1, 2, 3 in the order they are asked."""
    sealed: tuple[bytes, ...]
    """Ciphertexts of the three waves."""

    @property
    def probes(self) -> tuple[View, ...]:
        """The probes of wave 3, in the order they are asked."""
        return tuple(view for view in self.waves[-1] if view.role in PROBES)


class BatchError(ValueError):
    """Items that no honest dealer would put into one batch."""


def plan_batch(
    secret: bytes,
    scored: Sequence[bytes],
    served: Sequence[bytes],
    masks_per_item: int,
    modality: Modality = TEXT,
    first_mask: FirstMask = FirstMask.CUT,
) -> Batch:
    """The batch of these items under this secret.

    Raises BatchError when an item appears twice, and ItemError when one is not canonical in this modality.
    """
    return _planned(secret, tuple(scored), tuple(served), masks_per_item, modality, first_mask)


@lru_cache(maxsize=PLANS_KEPT)
def _planned(
    secret: bytes,
    scored: tuple[bytes, ...],
    served: tuple[bytes, ...],
    masks_per_item: int,
    modality: Modality,
    first_mask: FirstMask,
) -> Batch:
    if len(set(scored) | set(served)) != len(scored) + len(served):
        raise BatchError("an item appears twice in one batch")
    stream = keyed_stream(secret, "batch-order")
    entries = _ordered(stream, scored, served)
    views: list[View] = []
    shares: list[tuple[int, ...]] = []
    places = [index for index, (_, is_scored) in enumerate(entries) if is_scored]
    probed = set(probed_items(secret, places, masks_per_item))
    for index, (item, is_scored) in enumerate(entries):
        units = Units.of(modality, item)
        views.append(View(index, Role.FULL, 0, item))
        if len(units) < UNITS_MIN:
            if is_scored:
                raise BatchError(f"a scored item has fewer than {UNITS_MIN} units")
            shares.append(())
            continue
        masks = masks_of(secret, units, masks_per_item, first_mask)
        for k, mask in enumerate(masks):
            views.append(View(index, Role.MASK, k, mask.part(units)))
            views.append(View(index, Role.INVERSE, k, mask.inverse(units)))
        shares.append(tuple(mask.share_ppm(units) for mask in masks))
        if index in probed:
            of_inverse, left = probe_view(secret, units, masks[0])
            views.append(View(index, PROBES[of_inverse], 0, left))
    waves = tuple(tuple(stream.shuffle([v for v in views if v.wave == wave])) for wave in WAVES)
    sealed = tuple(_seal_wave(secret, wave, waves[wave - 1]) for wave in WAVES)
    return Batch(
        items=tuple(item for item, _ in entries),
        scored=tuple(is_scored for _, is_scored in entries),
        mask_share_ppm=tuple(shares),
        waves=waves,
        sealed=sealed,
    )


def batch_items(secret: bytes, scored: Sequence[bytes], served: Sequence[bytes]) -> tuple[bytes, ...]:
    """The items of `plan_batch` in batch order, without planning the rest."""
    return tuple(item for item, _ in _ordered(keyed_stream(secret, "batch-order"), scored, served))


def _ordered(stream: Xof, scored: Sequence[bytes], served: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    # Sorted: the order in which a dealer lists what it serves must not choose the order of the batch.
    return stream.shuffle([(item, True) for item in scored] + [(item, False) for item in sorted(served)])


def open_wave(key: bytes, ciphertext: bytes, modality: Modality = TEXT) -> tuple[bytes, ...]:
    """The views of a wave, in the order their answers are asked.

    Raises SealError or CodecError, and ItemError where a view is not canonical in this modality.
    """
    payload = decode(unseal(key, ciphertext), WavePayload, size_bytes_max=WAVE_BYTES_MAX)
    for view in payload.views:
        modality.check(view.data)
    return tuple(view.data for view in payload.views)


def _seal_wave(secret: bytes, wave: int, views: Sequence[View]) -> bytes:
    payload = WavePayload(tuple(WaveView(_view_id(secret, view), view.data) for view in views))
    return seal(wave_key(secret, wave), encode(payload))


def _view_id(secret: bytes, view: View) -> bytes:
    place = view.item.to_bytes(4, "big") + view.mask.to_bytes(4, "big")
    return digest("view", secret, view.role.value.encode(), place)[:VIEW_ID_BYTES]
