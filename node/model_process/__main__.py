"""The model's process: `python -m node.model_process`, spoken to over its standard input and output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError, View, WritingEncoder, views_at_once
from node.model_process.pace import Pace
from node.model_process.slab import Slab
from node.model_process.wire import (
    Encode,
    Learn,
    LearnProgress,
    Lesson,
    Refit,
    Request,
    Response,
    Setup,
)
from node.pipe_frames import own_pipes, read_frame, write_frame

if TYPE_CHECKING:
    from node.encoders import Encoder
    from node.model_process.refitting import Refitter

ERROR_CHARACTERS_MAX = 2_000

EncodeInto: TypeAlias = Callable[[Sequence[View], NDArray[np.float32]], None]
"""Writes the answers to views into as many rows."""


def main() -> None:
    """Load the model, then answer requests until the node closes the pipe."""
    source, sink = own_pipes()
    first = read_frame(source)
    if first is None:
        return
    setup = msgspec.msgpack.decode(first, type=Setup)
    encoder = _load(setup, sink)
    if encoder is None:
        return
    _write(sink, Response(rows=0))
    pace, slab = Pace(views_at_once(encoder), setup.answer_within_s), Slab(setup.slab)
    encode_into, decoder = _encode_into(encoder), msgspec.msgpack.Decoder(Request)
    refitter: Refitter | None = None
    while (frame := read_frame(source)) is not None:
        request = decoder.decode(frame)
        if isinstance(request, Refit):
            refitter = refitter or _refitter(encoder, setup)
            _write(sink, _refit(refitter, request))
            encoder = encoder if refitter is None else refitter.encoder
            encode_into = _encode_into(encoder)
        elif isinstance(request, Learn):
            _write(sink, _learn(encoder, request))
        else:
            _write(sink, _answer(encode_into, request, setup.answer_within_s, pace, slab))


def _load(setup: Setup, sink: BinaryIO) -> Encoder | None:
    from node.encoders import load_encoder
    from node.encoders.own_alignment import Target

    try:
        encoder = load_encoder(
            setup.model,
            setup.reference,
            modality=setup.modality,
            cache_dir=None if setup.cache_dir is None else Path(setup.cache_dir),
            threads=setup.threads,
            target=Target(setup.target),
            on_anchors=lambda done, total: _write(sink, Response(anchors=(done, total))),
        )
        return encoder if setup.learnt is None else _learning(encoder, Path(setup.learnt), setup.modality)
    except Exception as error:  # anybody's code: the node must hear of it, whatever it is
        _write(sink, Response(error=_told(error)))
        return None


def _answer(encode_into: EncodeInto, request: Encode, within_s: float, pace: Pace, slab: Slab) -> Response:
    views, done, began_s = request.views, 0, monotonic()
    try:
        rows = slab.rows(len(views))
        while done < len(views):
            batch_began_s = monotonic()
            if batch_began_s - began_s > within_s:
                return Response(error=_too_slow(done, len(views), batch_began_s - began_s, within_s))
            batch = views[done : done + pace.views]
            encode_into(batch, rows[done : done + len(batch)])
            done += len(batch)
            pace.took(len(batch), monotonic() - batch_began_s)
    except Exception as error:
        return Response(error=_told(error))
    return Response(rows=done)


def _encode_into(encoder: Encoder) -> EncodeInto:
    """How this encoder's answers get into rows. Chosen once: to ask what an encoder can takes 12 us."""
    if isinstance(encoder, WritingEncoder):
        return encoder.encode_into

    def encode_into(views: Sequence[View], rows: NDArray[np.float32]) -> None:
        answers = encoder.encode(views)
        if answers.shape != rows.shape:  # one row would be taken for every view's
            raise EncoderError(
                f"{encoder.name} returned rows of shape {answers.shape} for {len(views)} views"
            )
        rows[:] = answers

    return encode_into


def _refitter(encoder: Encoder, setup: Setup) -> Refitter | None:
    from node.encoders.catalogue import AlignedEncoder
    from node.model_process.refitting import Refitter

    return Refitter(encoder, setup) if isinstance(encoder, AlignedEncoder) else None


def _refit(refitter: Refitter | None, asked: Refit) -> Response:
    if refitter is None:
        # Were the reference to follow the others, nothing would hold the space.
        return Response(error="it lies in the shared space by itself, as the reference does: it stays there")
    try:
        return Response(refit=refitter.step(asked))
    except Exception as error:
        return Response(error=_told(error))


def _learning(encoder: Encoder, folder: Path, modality: str) -> Encoder:
    from node.training.lessons import LearningEncoder

    return LearningEncoder(encoder, folder, modality)


def _learn(encoder: Encoder, asked: Learn) -> Response:
    from node.training.lessons import LearningEncoder

    if not isinstance(encoder, LearningEncoder):
        return Response(error=f"{encoder.name} was not started to learn")
    try:
        found = encoder.step(Path(asked.folder), asked.within_s, asked.is_last)
    except Exception as error:
        return Response(error=_told(error))
    if found is None:
        return Response(learn=LearnProgress())
    lesson = Lesson(found.before, found.after, found.is_better, found.pairs, found.steps)
    return Response(learn=LearnProgress(lesson))


def _too_slow(done: int, views: int, took_s: float, within_s: float) -> str:
    return (
        f"too slow: {done} of {views} views in {took_s:.1f} s, where {views / within_s:.0f} a second are "
        "needed; give it --threads, a GPU, or take a smaller model"
    )


def _told(error: Exception) -> str:
    text = str(error) if isinstance(error, EncoderError) else f"{type(error).__name__}: {error}"
    return text[:ERROR_CHARACTERS_MAX]


def _write(sink: BinaryIO, response: Response) -> None:
    write_frame(sink, msgspec.msgpack.encode(response))


if __name__ == "__main__":
    main()
