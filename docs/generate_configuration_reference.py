"""Writes docs/reference/configuration.md from config/settings.py; run it by its path."""

from __future__ import annotations

import ast
import inspect
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from generate_cli_reference import commands
from pydantic.fields import FieldInfo

from config.layers import ENVIRONMENT_PREFIX
from config.settings import CONFIG_FILE_NAME, KEYS_OUTSIDE_FILE, Settings, load_settings
from node.cli import app

TARGET = Path(__file__).parent / "reference" / "configuration.md"

_TOP = f"""# Configuration

<!-- Written by docs/generate_configuration_reference.py; change config/settings.py, then run it. -->

Every setting of a node. A value comes from the first of these places that has one:

1. a flag of the command, where the command has it;
2. an environment variable;
3. the file `{CONFIG_FILE_NAME}` in the data directory (TOML, `key = value`);
4. the default.

An empty variable counts as not set. A list is comma-separated in a variable, and an array in the file. A key
that is no setting is refused, with the nearest one that is. What the settings are for is told in
[run a validator](../run-a-validator.md), [run an encoder](../run-an-encoder.md) and
[operations](../operations.md); parameters of a whole network are in its genesis file, and no setting.
"""

# What settings.py cannot say of itself: a default that depends on where the node runs.
_DEFAULTS = {"home": "`$XDG_DATA_HOME/deltamesh`, else `~/.local/share/deltamesh`"}
# Commands whose flags of these names mean something of their own, not the setting of a node.
_OTHERS = frozenset({"bench", "encoder", "gallery", "models", "plan", "sim", "testnet"})
_EVERYWHERE = frozenset({"home", "network", "url", "token"})
_NETWORKS = ("localnet", "testnet")
_TYPES = {str: "text", int: "whole number", bool: "true or false", Path: "path"}
_GIB = 1 << 30
_MIB = 1 << 20


def reference() -> str:
    """The whole page."""
    flags = _flags()
    parts = [_TOP, "| key | default | what |", "|---|---|---|"]
    told = _told()
    for key, field in Settings.model_fields.items():
        first, _, _ = told.get(key, "").partition(". ")
        parts.append(f"| [`{key}`](#{key}) | {_default(key, field)} | {_cell(first.rstrip('.'))} |")
    for key, field in Settings.model_fields.items():
        parts += ["", f"## {key}", "", told.get(key, ""), "", "| | |", "|---|---|"]
        parts.append(f"| type | {_type(field)} |")
        if limits := _range(field):
            parts.append(f"| range | {limits} |")
        parts.append(f"| default | {_default(key, field)} |")
        parts.append(f"| environment | `{ENVIRONMENT_PREFIX}{key.upper()}` |")
        where = "not possible: it says where the file is" if key in KEYS_OUTSIDE_FILE else f"`{key}`"
        parts.append(f"| file | {where} |")
        parts.append(f"| flag | {_flag(key, flags)} |")
    return "\n".join(parts) + "\n"


def _told() -> dict[str, str]:
    """What stands below each setting in the class, as one line."""
    tree = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(tree, ast.ClassDef)
    told = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            told[before.target.id] = " ".join(str(after.value.value).split())
    return told


def _flags() -> dict[str, list[str]]:
    """Names of the commands that have a flag for each setting."""
    found: dict[str, list[str]] = {}
    for words, command in commands(typer.main.get_command(app), ["deltamesh"]):
        for parameter in command.params:
            key = parameter.opts[0].removeprefix("--").replace("-", "_")
            if parameter.param_type_name != "option" or key not in Settings.model_fields:
                continue
            if key in _EVERYWHERE or words[1] not in _OTHERS:
                found.setdefault(key, []).append(" ".join(words))
    return found


def _flag(key: str, flags: dict[str, list[str]]) -> str:
    name = f"`--{key.replace('_', '-')}`"
    having = flags.get(key, [])
    if not having:
        return "none"
    return f"{name} of " + (
        ", ".join(f"`{words}`" for words in having) if len(having) <= 6 else "most commands"
    )


def _type(field: FieldInfo) -> str:
    return _type_name(field.annotation)


def _type_name(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(inner[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner[:-1]) + f" or `{inner[-1]}`"
    if origin in (Union, types.UnionType):
        return _type_name(next(part for part in inner if part is not type(None)))
    if origin is tuple:
        return f"list of {_type_name(inner[0])}s"
    return _TYPES[kind]


def _range(field: FieldInfo) -> str:
    """Every limit, in words."""
    counted = "characters" if field.annotation in (str, str | None) else "entries"
    said, lengths = [], []
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            said.append(f"at least {_number(limit.ge)}")
        elif isinstance(limit, annotated_types.Le):
            said.append(f"at most {_number(limit.le)}")
        elif isinstance(limit, annotated_types.MinLen):
            lengths.append(f"{limit.min_length:,}")
        elif isinstance(limit, annotated_types.MaxLen):
            lengths.append(f"{limit.max_length:,}")
        elif (pattern := getattr(limit, "pattern", None)) is not None:
            said.append(f"`{pattern}`")
    if lengths:
        said.append(f"{' to '.join(lengths) if len(lengths) == 2 else 'at most ' + lengths[0]} {counted}")
    return ", ".join(said)


def _number(value: Any) -> str:
    for size, unit in ((1 << 40, "TiB"), (_GIB, "GiB"), (_MIB, "MiB")):
        if value >= size and value % size == 0:
            return f"{value:,} ({value // size} {unit})"
    return f"{value:,}"


def _default(key: str, field: FieldInfo) -> str:
    if key in _DEFAULTS:
        return _DEFAULTS[key]
    if field.is_required():
        # The preset's: what a node of that network gets when nobody says anything.
        settings = [load_settings({"network": name, "home": "/"}, {}) for name in _NETWORKS]
        here, elsewhere = (_shown(getattr(one, key)) for one in settings)
        return f"{here} in `{_NETWORKS[0]}`, else {elsewhere}"
    return _shown(field.default)


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value}`" if not isinstance(value, int) else _number(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(reference(), encoding="utf-8")
