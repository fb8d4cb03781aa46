"""What is told of settings: value, unit, origin, what each is for; and a settings file made of that."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from config.config_file import Value, toml
from config.presets import preset
from config.settings import KEYS_OF_PRESETS, KEYS_OUTSIDE_FILE, SECRET_KEYS, Settings

UNITS: Final = MappingProxyType(
    {
        "threads": "threads",
        "doppelganger_rounds": "rounds",
        "retention_rounds": "rounds",
        "retention_epochs": "epochs",
        "score_bytes_max": "bytes",
        "blob_bytes_max": "bytes",
        "search_items_max": "items",
        "connections_max": "peers",
        "standing_validators": "peers",
        "relay_peers": "peers",
    }
)
"""What a number counts; every setting that is a number is here."""
MASKED: Final = "(set, not shown)"

_IN_URL: Final = re.compile(r"^([^/]*//)[^/?#]*@")
"""User and password, as for a proxy before an API."""
_COLUMNS: Final = 100
_EXAMPLES: Final = MappingProxyType({"data": "~/corpus", "url": "http://127.0.0.1:7780", "token": "dm_..."})
"""For settings that are not set unless somebody does."""
_EXAMPLE_HEAD: Final = """\
# Settings of a deltamesh node: the file config.toml of its data directory.
# Each line is the default; remove the # before those you change. A flag, or an environment variable
# DELTAMESH_<NAME>, takes precedence. `deltamesh config check` tells what is wrong in it.
"""


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as it is in force. A secret's value is None or MASKED."""

    key: str
    value: Value | bool | None
    unit: str | None
    origin: str
    meaning: str


def described(settings: Settings) -> tuple[Described, ...]:
    """Every setting, in the order of the documentation."""
    told = meanings()
    return tuple(
        Described(key, shown_value(settings, key), UNITS.get(key), settings.origin(key), told[key])
        for key in Settings.model_fields
    )


@cache
def meanings() -> MappingProxyType[str, str]:
    """What each setting is for, in the words of its docstring in `Settings`; empty where it says itself."""
    # Read from the source only when somebody asks: pydantic would at every start.
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    assert isinstance(tree, ast.ClassDef)
    found = dict.fromkeys(Settings.model_fields, "")
    for line, after in zip(tree.body, tree.body[1:], strict=False):
        match line, after:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                if key in found:
                    found[key] = " ".join(text.split())
    return MappingProxyType(found)


def example_file() -> str:
    """A settings file with every setting that it can hold, each commented out, at its default."""
    defaults = Settings(home=Path("~"), **{key: getattr(preset("testnet"), key) for key in KEYS_OF_PRESETS})
    parts = [_EXAMPLE_HEAD]
    for one in described(defaults):
        if one.key in KEYS_OUTSIDE_FILE:
            continue
        about = f"{one.meaning} In {one.unit}." if one.unit and one.unit not in one.key else one.meaning
        value = _EXAMPLES[one.key] if one.value is None else one.value
        comment = textwrap.fill(about, _COLUMNS, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"\n{comment}\n# {one.key} = {toml(value)}\n")
    return "".join(parts)


def shown_value(settings: Settings, key: str) -> Value | bool | None:
    """A setting's value as anybody may see it: a secret, also one inside a URL, is masked."""
    value = getattr(settings, key)
    if value is None or isinstance(value, str | int | tuple):
        if key in SECRET_KEYS and value is not None:
            return MASKED
        return _IN_URL.sub(rf"\1{MASKED}@", value) if key == "url" and isinstance(value, str) else value
    return str(value)
