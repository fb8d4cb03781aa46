"""Code of one's own, named by `package.module:name` or `path/to/file.py:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.encoders.encoder import EncoderError

FILE_MODULE = "deltamesh_user_model"
"""The module a file is loaded as."""


def load_function(target: str) -> Callable[..., Any]:
    """The function a target names: from an installed package or an explicit path, and from nowhere else.

    Raises EncoderError that says which half of the target is wrong.
    """
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
