"""The genesis file a person reads and edits: JSON with names and hexadecimal digits.

Its shape is mirrored from the records of `protocol.genesis`, which say once what a genesis holds and within
which limits. The file may name its network id; then a later change of the file is noticed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from config.errors import ConfigError, nearest_hint, os_error_sentence
from config.files import PUBLIC, replace_file
from protocol.codec import Record
from protocol.genesis import GENESIS_BYTES_MAX, Genesis, GenesisContent, GenesisError
from protocol.masks import FirstMask

_R = TypeVar("_R", bound=Record)

NETWORK_ID_KEY = "network_id"
# Hexadecimal digits and names take more room than the canonical bytes.
FILE_BYTES_MAX = 4 * GENESIS_BYTES_MAX


class GenesisFileError(ConfigError):
    """A genesis file that cannot be read, or that describes no network."""


def genesis_to_text(genesis: Genesis) -> str:
    """The genesis as the JSON file a person reads, with its network id first."""
    content = _plain(genesis.content)
    return json.dumps({NETWORK_ID_KEY: genesis.network_id.hex(), **content}, indent=2) + "\n"


def genesis_from_text(text: str, source: str = "genesis") -> Genesis:
    """The genesis a JSON text describes. Raises GenesisFileError naming `source` and the field."""
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise GenesisFileError(
            f"{source} line {error.lineno} is not JSON: {error.msg}; correct it or fetch it again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise GenesisFileError(f"{source} is not a genesis file: {error}") from None
    if not isinstance(document, dict):
        raise GenesisFileError(f"{source} is not a genesis file: it must hold one JSON object")
    claimed = document.pop(NETWORK_ID_KEY, None)
    if isinstance(document.get("parameters"), dict):
        # Networks that are older than the parameter.
        document["parameters"].setdefault("first_mask", FirstMask.SPANS.value)
    try:
        genesis = Genesis(_record(GenesisContent, _model(GenesisContent).model_validate(document)))
    except ValidationError as error:
        raise GenesisFileError(f"{source}: {_sentence(error)}") from None
    except GenesisError as error:
        raise GenesisFileError(f"{source}: {error}") from None
    if claimed is not None and claimed != genesis.network_id.hex():
        raise GenesisFileError(
            f"{source} says it is network {str(claimed)[:64]}, but its content is network "
            f"{genesis.network_id.hex()}: fetch it again, or remove '{NETWORK_ID_KEY}' to name another one"
        )
    return genesis


def load_genesis(path: Path) -> Genesis:
    """The genesis in a file. Raises GenesisFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise GenesisFileError(
            f"there is no genesis file at {path}: check the path; whoever began the network has the file, "
            "made of the members' cards by `deltamesh genesis create`"
        ) from None
    except OSError as error:
        raise GenesisFileError(os_error_sentence("read", path, error)) from None
    if len(data) > FILE_BYTES_MAX:
        raise GenesisFileError(
            f"{path} is over {FILE_BYTES_MAX} bytes, which no genesis needs: check the path"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise GenesisFileError(
            f"{path} is not UTF-8 text, so it is no genesis file: check the path"
        ) from None
    return genesis_from_text(text, str(path))


def save_genesis(path: Path, genesis: Genesis) -> None:
    """Write the genesis file, whole or not at all. Raises GenesisFileError."""
    try:
        replace_file(path, genesis_to_text(genesis).encode(), mode=PUBLIC)
    except OSError as error:
        raise GenesisFileError(os_error_sentence("write", path, error)) from None


@cache
def _model(kind: type[Record]) -> type[BaseModel]:
    """The pydantic model of a record: same fields, same limits, bytes as hexadecimal digits."""
    fields: dict[str, Any] = {
        name: (_annotation(shape), ...)
        for name, shape in ((f.name, inspect.type_info(f.type)) for f in msgspec.structs.fields(kind))
    }
    config = ConfigDict(extra="forbid", strict=True, frozen=True)
    return create_model(kind.__name__, __config__=config, **fields)


def _annotation(shape: inspect.Type) -> Any:
    match shape:
        case inspect.IntType(ge=low, le=high):
            return Annotated[int, Field(ge=low, le=high)]
        case inspect.StrType(min_length=low, max_length=high):
            return Annotated[str, Field(min_length=low, max_length=high)]
        case inspect.BytesType(min_length=low, max_length=high):
            return Annotated[bytes, Field(min_length=low, max_length=high), BeforeValidator(_from_hex)]
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            # A list is not a tuple to a strict model: JSON has only lists.
            tuples = tuple.__class_getitem__((_annotation(item), ...))
            return Annotated[tuples, Field(min_length=low, max_length=high, strict=False)]
        case inspect.StructType(cls=kind) if issubclass(kind, Record):
            return _model(kind)
    raise TypeError(f"a genesis field of type {shape} has no place in the JSON file yet: add it here")


def _from_hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("write it as hexadecimal digits between quotes")
    try:
        data = bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"'{value[:80]}' is not made of hexadecimal digits") from None
    return data


def _record(kind: type[_R], model: BaseModel) -> _R:
    values = [getattr(model, name) for name in kind.__struct_fields__]
    shapes = [inspect.type_info(f.type) for f in msgspec.structs.fields(kind)]
    return kind(*(_value(shape, value) for shape, value in zip(shapes, values, strict=True)))


def _value(shape: inspect.Type, value: Any) -> Any:
    match shape:
        case inspect.StructType(cls=kind) if issubclass(kind, Record):
            return _record(kind, value)
        case inspect.VarTupleType(item_type=item):
            return tuple(_value(item, part) for part in value)
    return value


def _plain(value: Any) -> Any:
    """Records as objects, bytes as hexadecimal digits."""
    match value:
        case Record():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex()
        case tuple():
            return [_plain(part) for part in value]
    return value


def _sentence(error: ValidationError) -> str:
    # One mistake often shows as several errors: a misspelt field is also a missing one, and says more.
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            cause = f"no such field{nearest_hint(str(first['loc'][-1]), _field_names(GenesisContent))}"
        case "missing":
            cause = "is missing"
        case "bytes_too_short" | "bytes_too_long":
            cause = f"has {len(first['input'])} bytes, and must have {next(iter(first['ctx'].values()))}"
        case "value_error":
            cause = str(first["msg"]).removeprefix("Value error, ")
        case _:
            cause = f"{first['input']!r:.80} is refused: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return f"{place}: {cause}"


def _field_names(kind: type[Record]) -> set[str]:
    """Names of all fields of a record and of the records in it."""
    names: set[str] = set(kind.__struct_fields__)
    for part in msgspec.structs.fields(kind):
        shape = inspect.type_info(part.type)
        inner = shape.item_type if isinstance(shape, inspect.VarTupleType) else shape
        if isinstance(inner, inspect.StructType) and issubclass(inner.cls, Record):
            names |= _field_names(inner.cls)
    return names


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' is there twice in one object")
    return found
