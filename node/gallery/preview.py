"""What is shown of an item: its text, or in a few words what it is."""

from __future__ import annotations

from node.gallery.entries import preview_of_text
from protocol.modalities import AUDIO, IMAGE, SERIES

_FRAMES_PER_S = 16_000 / 256
"""Of sound: 16 kHz in frames of 256 samples."""


def preview_of_item(modality: str, data: bytes | None) -> str:
    """`image 64x48` for an image, and the like; the text of a text. Items that are not held have none."""
    if data is None:
        return f"{modality}, not held here"
    if modality == IMAGE.name:
        height, width = IMAGE.shape(data)
        return f"image {width}x{height}"
    if modality == AUDIO.name:
        return f"audio {AUDIO.shape(data)[0] / _FRAMES_PER_S:.1f} s"
    if modality == SERIES.name:
        steps, channels = SERIES.shape(data)
        return f"series of {steps} steps, {channels} channel{'' if channels == 1 else 's'}"
    if modality == "text":
        return preview_of_text(data.decode(errors="replace"))
    shown = data[:16].hex(" ")
    return f"{len(data):,} bytes: {shown}{' …' if len(data) > 16 else ''}"
