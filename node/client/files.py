"""Files as inputs of networks that embed no text: what is sent, and whether an item is made of a file."""

from __future__ import annotations

import tempfile
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from node.certified import Check, VerificationFailed
from node.client.call import Flow, ask
from node.client.calls import content as content_of
from node.client.errors import ClientError, NotFoundError
from protocol.items import item_id as name_of
from protocol.modalities.dense import HEADER_BYTES

File: TypeAlias = Path | bytes
"""A file by its path, or what it holds."""

FILE_BYTES_MAX: Final = 3_100_000
"""In base64 it and what is around it fit the body of a request."""
ROUNDING_MAX: Final = {"image": (4, "u1"), "audio": (4, "<i2"), "series": (2, "<i2")}
"""By modality: steps by which another machine's item of the same file may differ, and what counts them.

Decoders of JPEG and sums of floating point differ between machines. 4 of 255 of a colour, 0.002 of full
scale, 0.0005 standard deviations.
"""


def read_files(files: Sequence[File]) -> list[bytes]:
    """What each file holds. Raises ClientError."""
    if isinstance(files, Path | str | bytes):
        raise ClientError("embed_files takes a list of files: put this one into a list")
    return [_read(number, file) for number, file in enumerate(files)]


def inputs_of(files: Sequence[bytes]) -> list[str]:
    """Files as the API takes them."""
    return [b64encode(data).decode("ascii") for data in files]


def items_of(modality: str, files: Sequence[bytes]) -> list[bytes]:
    """The canonical item of each file, made here. Raises ClientError where a file is none, or several."""
    from node.modalities import FileError, items_of_file

    if modality == "text":
        raise ClientError("this network embeds text, not files: use `embed`")
    found = []
    with tempfile.TemporaryDirectory(prefix="deltamesh-file-") as folder:
        path = Path(folder, "file")
        for number, data in enumerate(files):
            path.write_bytes(data)
            try:
                found += items_of_file(modality, path, items_max=1)
            except FileError as error:
                raise ClientError(f"file {number}: {str(error).replace(str(path), 'it')}") from None
    return found


def same_item(number: int, modality: str, own: bytes, named: bytes) -> Flow[bytes]:
    """The canonical bytes of the item a server named for a file, which are its own but for rounding.

    `own` was made here, `named` is the id. Raises VerificationFailed, ClientError.
    """
    if name_of(own) == named:
        return own
    try:
        told = yield from ask(content_of(named))
    except NotFoundError:
        told = b""
    if name_of(told) != named or not differs_by_rounding(modality, own, told):
        raise VerificationFailed(Check.ITEM, f"the item named for file {number} is not made of that file")
    return told


def differs_by_rounding(modality: str, own: bytes, told: bytes) -> bool:
    """Whether two canonical items of one modality could be made of the same file on two machines."""
    import numpy as np

    if modality not in ROUNDING_MAX or len(own) != len(told) or own[:HEADER_BYTES] != told[:HEADER_BYTES]:
        return own == told
    steps_max, kind = ROUNDING_MAX[modality]
    ours, theirs = (np.frombuffer(item, kind, offset=HEADER_BYTES).astype(int) for item in (own, told))
    return bool(np.abs(ours - theirs).max(initial=0) <= steps_max)


def _read(number: int, file: File) -> bytes:
    if isinstance(file, Path):
        try:
            with file.expanduser().open("rb") as opened:
                data = opened.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise ClientError(f"{file} cannot be read ({error.strerror or error}): check the path") from None
    else:
        data = bytes(file)
    if len(data) > FILE_BYTES_MAX:
        what = file if isinstance(file, Path) else f"file {number}"
        raise ClientError(f"{what} is over {FILE_BYTES_MAX:,} bytes: make it smaller, or cut it into parts")
    return data
