"""What somebody's model returns, checked and made rows: a wrong answer says what is wrong with it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError

NATIVE_DIMENSIONS_MAX: Final = 65_536


def checked_rows(answer: Any, views: int, name: str, dimensions: int | None = None) -> NDArray[np.float32]:
    """The answer of the model `name` to so many views as float32 [views, d]; NaN marks what is no number.

    Takes arrays, tensors and lists of lists. Raises EncoderError for anything that is not one row of numbers
    a view, all rows as long as each other and, once known, `dimensions` long.
    """
    rows = _as_array(answer, name)
    if rows.ndim != 2 or len(rows) != views:
        raise EncoderError(
            f"{name} returned an array of shape {_shape(rows)} for {views} views: return one row a view, "
            f"({views}, d)"
        )
    width = rows.shape[1]
    if not 1 <= width <= NATIVE_DIMENSIONS_MAX:
        raise EncoderError(f"{name} returned rows of {width} numbers: return 1 to {NATIVE_DIMENSIONS_MAX}")
    if dimensions is not None and width != dimensions:
        raise EncoderError(
            f"{name} returned rows of {width} numbers, and of {dimensions} before: return as many every time"
        )
    found: NDArray[np.float32] = np.ascontiguousarray(rows, dtype=np.float32)
    found[~np.isfinite(found).all(axis=1)] = np.nan
    return found


def _as_array(answer: Any, name: str) -> NDArray[Any]:
    # A tensor may live on a GPU and belong to a graph; asking it by name spares us importing torch.
    for step in ("detach", "cpu", "numpy"):
        method = getattr(answer, step, None)
        answer = method() if callable(method) else answer
    try:
        rows = np.asarray(answer)
    except ValueError as error:
        raise EncoderError(f"{name} returned no matrix ({error}): return one row a view") from None
    if not (np.issubdtype(rows.dtype, np.floating) or np.issubdtype(rows.dtype, np.integer)):
        kind = type(answer).__name__ if rows.ndim == 0 else f"an array of {rows.dtype}"
        raise EncoderError(f"{name} returned {kind}: return float32 of shape (views, d)")
    with np.errstate(over="ignore"):
        return rows.astype(np.float32)


def _shape(rows: NDArray[Any]) -> str:
    return f"({', '.join(map(str, rows.shape))}{',' if rows.ndim == 1 else ''})"
