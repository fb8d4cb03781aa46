"""The built-in encoders by name: what each embeds, and how it comes to the space of its reference."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.encoders.alignment import MINILM_RIDGE_STRENGTH, RIDGE_STRENGTH, Alignment
from node.encoders.encoder import EncoderError, NativeEncoder
from node.encoders.minilm import MiniLm
from node.encoders.ngram import HashedNgrams
from node.encoders.word_vectors import WordVectors

DEFAULT_REFERENCE: Final = "wordllama-256"
"""Of networks of text."""
REFERENCES: Final = {
    "text": DEFAULT_REFERENCE,
    "image": "image-patches",
    "audio": "audio-blocks",
    "series": "series-kernels",
    "bytes": "bytes-ngrams",
}
"""Whose space a network shares unless its genesis says otherwise, by modality."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How an encoder is opened and aligned."""

    native: Callable[[int], NativeEncoder]
    """From the threads it may use: only minilm uses more than one."""
    alignment: Alignment
    modality: str = "text"
    ridge_strength: float = RIDGE_STRENGTH


def _dense(name: str) -> Entry:
    def native(_: int) -> NativeEncoder:
        from node.encoders.dense import dense_encoder

        return dense_encoder(name)

    # A rotation: ridge brings them so near to each other that three are one vote.
    return Entry(native, Alignment.PROCRUSTES, name.split("-")[0])


_ENTRIES: Final[dict[str, Entry]] = {
    "wordllama-256": Entry(lambda _: WordVectors(256), Alignment.PROCRUSTES),
    "wordllama-128": Entry(lambda _: WordVectors(128), Alignment.PROCRUSTES),
    "wordllama-64": Entry(lambda _: WordVectors(64), Alignment.PROCRUSTES),
    "ngram": Entry(lambda _: HashedNgrams(), Alignment.RIDGE),
    "minilm": Entry(MiniLm, Alignment.RIDGE, ridge_strength=MINILM_RIDGE_STRENGTH),
    **{
        name: _dense(name)
        for name in (
            "image-patches",
            "image-gradients",
            "image-colours",
            "audio-blocks",
            "audio-bands",
            "audio-modulation",
            "series-kernels",
            "series-spans",
            "series-lags",
            "bytes-ngrams",
            "bytes-values",
            "bytes-runs",
        )
    },
}
ENCODER_NAMES: Final = tuple(_ENTRIES)
"""Of all modalities."""


def encoder_names(modality: str) -> tuple[str, ...]:
    """The built-in encoders of a modality, its reference first. Raises EncoderError for an unknown one."""
    check_modality(modality)
    return tuple(name for name, entry in _ENTRIES.items() if entry.modality == modality)


def check_modality(modality: str) -> None:
    """Raise EncoderError, naming those there are, for a modality that does not exist."""
    if modality not in REFERENCES:
        raise EncoderError(f"There is no modality `{modality}`: use one of {', '.join(REFERENCES)}.")


def entry_of(name: str, modality: str | None = None) -> Entry:
    """A built-in encoder. Raises EncoderError for an unknown name, and for one of another modality."""
    entry = _ENTRIES.get(name)
    fitting = ENCODER_NAMES if modality is None else encoder_names(modality)
    if entry is None:
        near = difflib.get_close_matches(name, fitting, n=1, cutoff=0.0)
        raise EncoderError(
            f"there is no model `{name}`, did you mean `{near[0]}`? Built in are {', '.join(fitting)}; "
            "`deltamesh models list` tells how to say where yours is"
        )
    if modality is not None and entry.modality != modality:
        raise EncoderError(
            f"the model `{name}` embeds {entry.modality}, and {modality} is asked of it: use one of "
            f"{', '.join(fitting)}, or say where yours is; `deltamesh models list` tells how"
        )
    return entry
