"""The tables of docs/protocol.md that the Python on it goes by: domains, limits, fields of records."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import protocol
from node.bundle import Bundle
from protocol.bending import ProbeSigns
from protocol.codec import Record
from protocol.epochs.inputs import INPUTS_BYTES_MAX
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import RECORD_BYTES_MAX, TABLE_BYTES_MAX
from protocol.genesis import GENESIS_BYTES_MAX, WAVE_BYTES_MAX, NetworkParameters
from protocol.messages import KINDS
from protocol.statement import ENVELOPE_BYTES_MAX, Envelope
from tests.support.documents import ROOT, read

PAGE = "docs/protocol.md"


def test_domains__of_the_page_are_those_of_the_code() -> None:
    table = re.search(r"^### Domains\n(.*?)^A stream's", read(PAGE), re.DOTALL | re.MULTILINE)
    assert table is not None
    told = re.findall(r"^\| `([^`]+)` \|", table[1], re.MULTILINE)
    assert len(set(told)) == len(told)
    assert set(told) == _domains()


def _domains() -> set[str]:
    """What the protocol calls `digest` with; `planning` draws for itself alone."""
    found = set()
    for path in sorted((ROOT / "protocol").rglob("*.py")):
        if path.parent.name != "planning":
            found |= set(_called_with(path))
    return found


def _called_with(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        first = node.args[0]
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            continue
        if node.func.id == "digest":
            yield first.value
        elif node.func.id == "_stream" and path.name == "sampling.py":
            yield f"sampling {first.value}"


def test_limits__of_what_is_decoded_are_those_of_the_code() -> None:
    text = read(PAGE)
    mib = [size >> 20 for size in (RECORD_BYTES_MAX, TABLE_BYTES_MAX, INPUTS_BYTES_MAX)]
    for row in (
        f"| envelope, certificate | {ENVELOPE_BYTES_MAX >> 10} KiB |",
        f"| genesis | {GENESIS_BYTES_MAX >> 20} MiB |",
        "| record of an epoch, its encoders' table, its inputs | {} MiB, {} MiB, {} MiB |".format(*mib),
        f"| ciphertext of a wave | {WAVE_BYTES_MAX >> 20} MiB |",
    ):
        assert row in text


def test_records__of_the_page_have_the_fields_of_the_code() -> None:
    section = re.search(r"^### Records\n(.*?)^## ", read(PAGE), re.DOTALL | re.MULTILINE)
    assert section is not None
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section[1], re.MULTILINE)
    told = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
    assert told == {record.__name__: record.__struct_fields__ for record in _records()}


def _records() -> list[type[Record]]:
    """All that crosses a wire or names itself by a digest, but for what has tables of its own."""
    for module in pkgutil.walk_packages(protocol.__path__, "protocol."):
        importlib.import_module(module.name)
    elsewhere = {Envelope, NetworkParameters, RoundOutcome, ProbeSigns, *KINDS}
    found = [one for one in _subclasses(Record) if one.__module__.startswith("protocol.")]
    return [one for one in [*found, Bundle] if one not in elsewhere and not one.__name__.startswith("_")]


def _subclasses(kind: type[Record]) -> Iterator[type[Record]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)
