"""NPY files: the header is read as data, never as code, and believed where the size of the file agrees."""

from __future__ import annotations

import io
import math
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from node.modalities.file_door import FileError, reason_of

VALUES_MAX: Final = 8 << 20
"""64 MiB as float64."""
_HEADER_BYTES_MAX: Final = 4096
_NUMBERS: Final = "fiub"


def read_npy(path: Path, file: BinaryIO, size_bytes: int) -> npt.NDArray[np.float64]:
    """An array of one to three dimensions as float64 [..., steps, channels], one channel if it has one."""
    shape, fortran, kind = _header(path, file)
    if kind.hasobject or kind.kind not in _NUMBERS or kind.subdtype is not None:
        raise FileError(
            f"{path} holds {'pickled objects' if kind.hasobject else kind}, not numbers: objects could run "
            "code when read; save it as float32."
        )
    count = math.prod(shape)
    if not 1 <= len(shape) <= 3:
        raise FileError(f"{path} has {len(shape)} dimensions: save it as [steps, channels].")
    if count > VALUES_MAX:
        raise FileError(
            f"{path} says that it has {count:,} values, {VALUES_MAX:,} are read at most: cut it into parts."
        )
    if count * kind.itemsize != size_bytes - file.tell():
        raise FileError(
            f"{path} says that it has {count * kind.itemsize:,} bytes of values and has "
            f"{size_bytes - file.tell():,}: save it again."
        )
    data = file.read(count * kind.itemsize)
    if len(data) != count * kind.itemsize:
        raise FileError(f"{path} was cut off while it was read: try again.")
    flat = np.frombuffer(data, kind)
    # Stored by columns, it is the transpose of the array of the turned shape.
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    values: npt.NDArray[np.float64] = array.astype(np.float64, order="C")
    return values[:, None] if values.ndim == 1 else values


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    # A header may say that it is gigabytes long: numpy is shown no more than a sound one has.
    head = io.BytesIO(file.read(_HEADER_BYTES_MAX))
    try:
        version = np.lib.format.read_magic(head)
        if version not in _READERS:
            raise FileError(f"{path} is an NPY file of version {version}: save it with numpy.save.")
        shape, fortran, kind = _READERS[version](head, max_header_size=_HEADER_BYTES_MAX)
    except (ValueError, TypeError, SyntaxError, TokenError, MemoryError, RecursionError) as error:
        raise FileError(
            f"{path} has a damaged NPY header ({reason_of(error)}): save it with numpy.save."
        ) from error
    if any(side < 0 for side in shape):
        raise FileError(f"{path} says that it has the shape {shape}: save it again.")
    file.seek(head.tell())
    return shape, fortran, kind


_READERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
