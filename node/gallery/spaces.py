"""The one space a search takes place in: which there are, which fits all vectors, and placing them in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from node.gallery.backend import SearchedItems
from node.gallery.errors import MixedSpacesError
from node.gallery.items_table import VectorRows
from node.gallery.transform import Affine
from node.space import NEWEST, RAW, SpaceError, space_number
from protocol.hashing import content_digest, digest

Kind = tuple[int | None, int | None, int]
"""(space, epoch, how many): of a shaped vector the epoch that shaped it, of a raw one that of its round."""

_SHORT: Final = 1e-12
_NOTHING_LEARNT: Final = content_digest(b"")


class SpaceKind(Enum):
    """What a space does to raw vectors."""

    PLAIN = "plain"
    """It takes their lengths out: raw, and epochs that had learnt nothing."""
    SHAPING = "shaping"
    """It shapes them by the transform of its epoch."""
    UNKNOWN = "unknown"
    """Nothing: its transform is not known here, and vectors that came shaped by it are all it holds."""


class KnowsMoments(Protocol):
    """A gallery, or a node beside it."""

    def moments_digest(self, epoch: int) -> bytes | None:
        """The content digest of an epoch's canonical moments; None where they are not there."""

    def moments(self, epoch: int) -> bytes | None:
        """An epoch's canonical moments, 4.2 MB, or b"" before anything was learnt."""


class NodeSpaces(KnowsMoments, Protocol):
    """What a node beside the gallery knows of spaces that the gallery may not."""

    def newest(self) -> int:
        """The newest epoch whose record is there."""

    def centred(self, epochs: Sequence[int]) -> Mapping[int, bool]:
        """Which of the epochs' records had means; an unknown epoch is missing."""


@dataclass(frozen=True)
class GallerySpace:
    """One space. Vectors of one space can be compared with each other, and with no others."""

    epoch: int | None
    """Whose transform shapes it; None is raw."""
    fingerprint: bytes
    """Of all that decides where a vector lies: what is cached under another is never used."""
    kind: SpaceKind
    holder: KnowsMoments | None = field(repr=False)
    """Who has the moments that a shaping one follows from."""
    centred: Mapping[int, bool] = field(repr=False)
    """Of every known epoch whether its vectors are centred."""

    @property
    def name(self) -> str:
        """As files and people call it."""
        return RAW if self.epoch is None else f"epoch {self.epoch}"

    @property
    def takes_raw(self) -> bool:
        """Whether vectors that are not shaped yet can be placed in it."""
        return self.kind is not SpaceKind.UNKNOWN

    def moments(self) -> bytes:
        """The canonical moments that its transform follows from; b"" where it shapes nothing."""
        if self.kind is not SpaceKind.SHAPING or self.holder is None or self.epoch is None:
            return b""
        return self.holder.moments(self.epoch) or b""

    def place(self, part: VectorRows, affine: Affine) -> npt.NDArray[np.float32]:
        """Stored vectors in this space: [n, D] at unit norm, zeros for one that has no place in it."""
        centred = np.array([self.centred.get(int(epoch), False) for epoch in part.epochs], bool)
        known = np.array([int(epoch) in self.centred for epoch in part.epochs], bool)
        raw = part.spaces < 0
        placed = np.zeros_like(part.vectors)
        if self.takes_raw:
            # Where nothing is taken off, it does not matter what vectors were centred on: `choose_space` has
            # seen to it that it was the same for all.
            here = raw & (known | (affine.matrix is None))
            placed[here] = affine.apply(part.vectors[here], centred[here])
        shaped = part.spaces == (-2 if self.epoch is None else self.epoch)
        placed[shaped] = unit(part.vectors[shaped])
        return placed


def unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows [n, D] at unit norm; zeros where there is no direction."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    good = np.isfinite(norms) & (norms > _SHORT)
    return np.where(good, rows / np.where(good, norms, 1.0), 0.0).astype(np.float32)


def choose_space(
    gallery: SearchedItems, kinds: Sequence[Kind], wanted: str = NEWEST, node: NodeSpaces | None = None
) -> GallerySpace:
    """The space `wanted` for vectors of these kinds; by NEWEST the newest known one that takes all of them.

    Raises MixedSpacesError where no transform brings all of them into it, SpaceError where it is none or not
    known here.
    """
    asked = space_number(wanted)
    centred = _centred(gallery, kinds, node)
    if asked == RAW:
        return _fitting(_raw(centred), kinds)
    if asked != NEWEST:
        return _fitting(_of_epoch(gallery, int(asked), kinds, centred, node), kinds)
    known = {0, *gallery.spaces(), *(space for space, _, _ in kinds if space is not None)}
    if node is not None:
        known.add(node.newest())
    refusals: list[MixedSpacesError] = []
    for epoch in sorted(known, reverse=True):
        try:
            space = _of_epoch(gallery, epoch, kinds, centred, node)
            if space.kind is not SpaceKind.PLAIN or not _centred_kinds(kinds, centred) - {False}:
                return _fitting(space, kinds)
        except SpaceError:
            continue
        except MixedSpacesError as error:
            refusals.append(error)
    try:
        return _fitting(_raw(centred), kinds)
    except MixedSpacesError:
        if refusals:
            raise refusals[0] from None
        raise


def _raw(centred: Mapping[int, bool]) -> GallerySpace:
    return GallerySpace(None, digest("gallery-space", RAW.encode()), SpaceKind.PLAIN, None, centred)


def _of_epoch(
    gallery: SearchedItems,
    epoch: int,
    kinds: Sequence[Kind],
    centred: Mapping[int, bool],
    node: NodeSpaces | None,
) -> GallerySpace:
    named = _NOTHING_LEARNT if epoch == 0 else gallery.moments_digest(epoch)
    holder: KnowsMoments | None = gallery
    if named is None and node is not None:
        named, holder = node.moments_digest(epoch), node
    if named is None and all(space != epoch for space, _, _ in kinds):
        have = ", ".join(map(str, gallery.spaces())) or "none"
        raise SpaceError(
            f"the transform of epoch {epoch} is not known here (known: {have}): add from a node that has "
            "it with "
            f"`deltamesh gallery add`, or take --space {RAW}"
        )
    kind = SpaceKind.UNKNOWN if named is None else SpaceKind.SHAPING
    kind = SpaceKind.PLAIN if named == _NOTHING_LEARNT else kind
    fingerprint = digest("gallery-space", epoch.to_bytes(8, "big"), named or b"")
    return GallerySpace(epoch, fingerprint, kind, holder, centred)


def _fitting(space: GallerySpace, kinds: Sequence[Kind]) -> GallerySpace:
    """The space, if every vector has a place in it. Raises MixedSpacesError."""
    alien = {one for one, _, _ in kinds if one is not None and one != space.epoch}
    raw = sum(count for one, _, count in kinds if one is None)
    if alien:
        names = ", ".join(f"{_counted(kinds, one)} in that of epoch {one}" for one in sorted(alien))
        raise MixedSpacesError(
            f"{names} came shaped and cannot be brought into space {space.name}: search them by themselves "
            "with "
            "--space or --collection, or add raw vectors (`deltamesh embeddings export --space raw`)"
        )
    if raw and not space.takes_raw:
        raise MixedSpacesError(
            f"{raw:,} raw vectors cannot be brought into space {space.name}: its transform is not known "
            "here; add "
            "from a node that has it, or search the others by themselves with --collection"
        )
    around = _centred_kinds(kinds, space.centred)
    if space.kind is SpaceKind.PLAIN and len(around) > 1:
        raise MixedSpacesError(
            f"the vectors were centred differently, before and since epoch 2, and space {space.name} takes "
            "nothing "
            "off: take the space of a later epoch, or only rounds of one kind (`deltamesh gallery remove "
            "--to-round`)"
        )
    if space.kind is SpaceKind.SHAPING and None in around:
        unknown = sorted({epoch for _, epoch, _ in kinds if epoch is not None and epoch not in space.centred})
        raise MixedSpacesError(
            f"the records of epochs {', '.join(map(str, unknown[:8]))} are not known here, and with them "
            "what their "
            f"vectors are centred on: add from a node that has them, or take --space {RAW}"
        )
    return space


def _centred_kinds(kinds: Sequence[Kind], centred: Mapping[int, bool]) -> set[bool | None]:
    return {centred.get(epoch) for _, epoch, _ in kinds if epoch is not None}


def is_centred(space: GallerySpace, kinds: Sequence[Kind]) -> bool:
    """Whether raw vectors that come new are to be centred before they are placed beside these."""
    return True in _centred_kinds(kinds, space.centred)


def _centred(gallery: SearchedItems, kinds: Sequence[Kind], node: NodeSpaces | None) -> Mapping[int, bool]:
    known = gallery.centred_epochs()
    missing = [epoch for _, epoch, _ in kinds if epoch is not None and epoch not in known]
    return known if node is None or not missing else {**known, **node.centred(missing)}


def _counted(kinds: Sequence[Kind], space: int | None) -> str:
    return f"{sum(count for one, _, count in kinds if one == space):,} vectors"
