"""The model's process: `python -m node.model_process`, spoken to over its standard input and output."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from node.model_process.wire import Request, Response, Setup
from node.pipe_frames import own_pipes, read_frame, write_frame

if TYPE_CHECKING:
    from node.encoders import Encoder

ERROR_CHARACTERS_MAX = 2_000


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
    _write(sink, Response(rows=b""))
    while (frame := read_frame(source)) is not None:
        _write(sink, _answer(encoder, msgspec.msgpack.decode(frame, type=Request), setup))


def _load(setup: Setup, sink: BinaryIO) -> Encoder | None:
    from node.encoders import load_encoder

    try:
        return load_encoder(
            setup.model,
            setup.reference,
            cache_dir=None if setup.cache_dir is None else Path(setup.cache_dir),
            threads=setup.threads,
            on_anchors=lambda done, total: _write(sink, Response(anchors=(done, total))),
        )
    except Exception as error:  # anybody's code: the node must hear of it, whatever it is
        _write(sink, Response(error=_told(error)))
        return None


def _answer(encoder: Encoder, request: Request, setup: Setup) -> Response:
    views, size, began_s = request.views, setup.batch_views, monotonic()
    parts = []
    try:
        for start in range(0, len(views), size):
            took_s = monotonic() - began_s
            if took_s > setup.answer_within_s:
                needed = len(views) / setup.answer_within_s
                return Response(
                    error=f"too slow: {start} of {len(views)} views in {took_s:.1f} s, where {needed:.0f} a "
                    "second are needed; give it --threads, a GPU, or take a smaller model"
                )
            parts.append(encoder.encode(views[start : start + size]).astype("<f4", copy=False).tobytes())
    except Exception as error:
        return Response(error=_told(error))
    return Response(rows=b"".join(parts))


def _told(error: Exception) -> str:
    from node.encoders import EncoderError

    text = str(error) if isinstance(error, EncoderError) else f"{type(error).__name__}: {error}"
    return text[:ERROR_CHARACTERS_MAX]


def _write(sink: BinaryIO, response: Response) -> None:
    write_frame(sink, msgspec.msgpack.encode(response))


if __name__ == "__main__":
    main()
