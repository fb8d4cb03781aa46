"""What `--help` calls values: an option's `N` or `TEXT`, nothing for a flag; an argument by its name."""

from __future__ import annotations

from enum import Enum
from typing import Any


def name_values(command: Any) -> None:
    """Name the value of every option of a command and of all below it that has no name yet.

    The framework would say `<bool>` after a flag, which reads as if it took a value, and `<int range>`; of an
    argument it would say the Python type behind its name.
    """
    for parameter in [*command.params, command.get_help_option(command.context_class(command))]:
        if parameter is None:
            continue
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing
        elif parameter.metavar is None:
            parameter.metavar = _name(parameter)
    for child in getattr(command, "commands", {}).values():
        name_values(child)


def _nothing(ctx: Any) -> None:
    """Of the type: the name says what an argument is, and its help the rest."""


def _name(option: Any) -> str:
    if option.is_flag:
        return ""
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return {int: "N", float: "NUMBER"}.get(kind, "TEXT")
