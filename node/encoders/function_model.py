"""Anybody's Python function as a model: `package.module:function`, or `path/to/file.py:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.answers import checked_rows
from node.encoders.encoder import EncoderError, View, unit_rows

FILE_MODULE = "deltamesh_user_model"
"""The module a file is loaded as."""


class FunctionModel:
    """`encode(views: list[str]) -> [n, d]`; the vectors' lengths do not matter, their directions do."""

    def __init__(self, target: str) -> None:
        self.name = target
        self._function: Callable[[list[Any]], Any] | None = None
        self._dimensions: int | None = None

    @property
    def dimensions(self) -> int:
        """What the function returns for one short view."""
        if self._dimensions is None:
            self.embed(("a",))
        assert self._dimensions is not None
        return self._dimensions

    def fingerprint(self) -> bytes:
        """Digest of what it answers to a few views: its code may be the same, and its weights another's."""
        rows = np.nan_to_num(self.embed(_PROBES))
        return blake3(np.rint(rows * 100).astype("<i2").tobytes()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, d] float32 at unit norm; zeros where it has no direction, NaN where it returned no numbers."""
        if not views:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        if self._function is None:
            self._function = load_function(self.name)
        try:
            answer = self._function(list(views))
        except Exception as error:
            raise EncoderError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        rows = checked_rows(answer, len(views), self.name, self._dimensions)
        self._dimensions = rows.shape[1]
        return unit_rows(rows)


_PROBES = (
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Return the number of items in a container.",
    "winter rain on a tin roof",
)


def load_function(target: str) -> Callable[[list[Any]], Any]:
    """The function a target names. Raises EncoderError that says which half of it is wrong."""
    where, _, name = target.rpartition(":")
    if not where or not name.isidentifier():
        raise EncoderError(
            f"'{target}' names no function: write package.module:function or path/to/file.py:function"
        )
    module = _from_file(Path(where)) if where.endswith(".py") else _installed(where)
    function = getattr(module, name, None)
    if not callable(function):
        there = sorted(n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        known = f"it has {', '.join(there[:8])}" if there else "it has no functions"
        raise EncoderError(f"{where} has no function '{name}': {known}")
    return function  # type: ignore[no-any-return]


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise EncoderError(
                f"no installed module '{name}': install its package into this environment, or give the path "
                "of its file, path/to/file.py:function"
            ) from None
        raise EncoderError(f"{name} needs '{error.name}', which is not installed: install it") from error
    except Exception as error:
        raise EncoderError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise EncoderError(f"there is no file {path.absolute()}: check the path")
    # What lies beside it may be imported by it, as when it is run.
    sys.path.insert(0, str(path.absolute().parent))
    found = importlib.util.spec_from_file_location(FILE_MODULE, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[FILE_MODULE] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise EncoderError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module
