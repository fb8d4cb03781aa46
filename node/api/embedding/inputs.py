"""The inputs of a request as canonical items: texts, or files where the network embeds something else."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from node.api.embedding.limits import FILE_BYTES_MAX, FILES_MAX, INPUTS_MAX
from node.api.errors import ApiError
from protocol.genesis import Genesis
from protocol.items import ItemError, canonical_text
from protocol.modalities import TEXT

PARAM: Final = "input"
_DATA_URL: Final = "data:"
_BASE64: Final = ";base64"


def items_of_input(genesis: Genesis, given: Any) -> list[bytes]:
    """The canonical item of each input, in order, doubles included. Raises ApiError that names the index.

    Decodes files and normalises up to 16 MiB of text: call it from a thread.
    """
    inputs = _listed(given)
    read = _text if genesis.modality is TEXT else _file
    if genesis.modality is not TEXT and len(inputs) > FILES_MAX:
        raise ApiError(
            400,
            f"{len(inputs)} files are too many for one request, {FILES_MAX} are allowed: send several",
            param=PARAM,
        )
    return [read(genesis, index, one) for index, one in enumerate(inputs)]


def units_of(genesis: Genesis, items: Sequence[bytes]) -> int:
    """What `usage` counts: words of canonical text, of other modalities the units masks are made of."""
    return sum(len(genesis.modality.unit_sizes(item)) for item in items)


def _listed(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise ApiError(400, "input must be a string or a list of strings", param=PARAM)
    if not 1 <= len(given) <= INPUTS_MAX:
        raise ApiError(
            400,
            f"input has {len(given)} entries, 1 to {INPUTS_MAX} are allowed: send "
            f"{'several requests' if given else 'at least one'}",
            param=PARAM,
        )
    for index, one in enumerate(given):
        if isinstance(one, int | list):
            raise ApiError(
                400,
                "input holds token numbers: every encoder of the network has a tokenizer of its own, so it "
                "takes text only; send the strings (LangChain: check_embedding_ctx_length=False)",
                param=PARAM,
                code="tokens_not_supported",
            )
        if not isinstance(one, str):
            raise ApiError(400, f"input[{index}] must be a string", param=_param(index))
    return given


def _text(_: Genesis, index: int, text: str) -> bytes:
    try:
        return canonical_text(text)
    except ItemError as error:
        raise ApiError(400, f"input[{index}]: {error}", param=_param(index)) from None


def _file(genesis: Genesis, index: int, text: str) -> bytes:
    from node.modalities import FileError, TooManyItems, items_of_file

    kind = genesis.modality.name
    data = _decoded(index, text, kind)
    with tempfile.TemporaryDirectory(prefix="deltamesh-input-") as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        try:
            (item,) = items_of_file(kind, path, items_max=1)
        except TooManyItems as error:
            raise ApiError(
                400,
                f"input[{index}]: the file makes {error.count:,} items and an input is one: cut it into "
                "smaller files, or submit the whole of it with `deltamesh submit`",
                param=_param(index),
            ) from None
        except FileError as error:
            reason = str(error).replace(str(path), "the file")
            raise ApiError(400, f"input[{index}]: {reason}", param=_param(index)) from None
    return item


def _decoded(index: int, text: str, kind: str) -> bytes:
    """The bytes of a data URL, or of plain base64."""
    header, comma, body = text.partition(",") if text.startswith(_DATA_URL) else ("", ",", text)
    if not comma or (header and not header.endswith(_BASE64)):
        raise ApiError(400, f"input[{index}]: {_expected(kind)}", param=_param(index))
    if len(body) > FILE_BYTES_MAX * 4 // 3 + 4:
        raise ApiError(
            400,
            f"input[{index}]: the file is over {FILE_BYTES_MAX:,} bytes: make it smaller",
            param=_param(index),
        )
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"input[{index}]: {_expected(kind)}", param=_param(index)) from None


def _expected(kind: str) -> str:
    return f"this network embeds {kind}: send a file of it as a data URL (data:...;base64,...) or as base64"


def _param(index: int) -> str:
    return f"{PARAM}[{index}]"
