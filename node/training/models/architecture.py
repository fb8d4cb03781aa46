"""What a model is made of, as data: the JSON beside its weights."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

_Width = Annotated[int, msgspec.Meta(ge=1, le=4096)]
_Gram = Annotated[int, msgspec.Meta(ge=1, le=16)]


class TextBag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text-bag"):
    """Hashed words and character n-grams in one table of vectors, their weighted mean, and a linear head."""

    buckets: Annotated[int, msgspec.Meta(ge=1, le=1 << 22)] = 1 << 15
    width: _Width = 256
    dimensions: _Width = 256
    gram_characters: Annotated[tuple[_Gram, ...], msgspec.Meta(max_length=8)] = (3, 4, 5)


class PatchNet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="patch-net"):
    """Three convolutions of stride 2, then the mean of what is not masked in each cell of a grid."""

    width: _Width = 32
    dimensions: _Width = 128


class StepNet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="step-net"):
    """Three convolutions along time, then mean and maximum over the steps that are not masked."""

    channels: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    width: _Width = 64
    dimensions: _Width = 128


Architecture: TypeAlias = TextBag | PatchNet | StepNet

MODALITY_OF = {TextBag: "text", PatchNet: "image", StepNet: "series"}
