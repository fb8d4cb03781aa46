"""Code in the documents that is executed: Python blocks under a line `<!-- executed -->`."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.documents import read

_BLOCK = re.compile(r"^<!-- executed -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEX = re.compile(r"\b[0-9a-f]{24,}\b")


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    page: str
    line: int
    source: str

    def run(self, names: dict[str, Any]) -> None:
        """Execute it among the names of the blocks before it; errors name the page's own lines."""
        exec(compile("\n" * (self.line - 1) + self.source, self.page, "exec"), names)

    @property
    def imported(self) -> set[str]:
        """The top-level packages it imports."""
        nodes = list(ast.walk(ast.parse(self.source)))
        plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
        return {name.partition(".")[0] for name in plain | _sources(nodes)}

    def with_one_digit_wrong(self) -> list[Block]:
        """The block once for each long hex number in it, with that number's last digit another."""
        wrong = []
        for found in _HEX.finditer(self.source):
            last = found.end() - 1
            digit = "0" if self.source[last] != "0" else "1"
            wrong.append(Block(self.page, self.line, self.source[:last] + digit + self.source[last + 1 :]))
        return wrong


def executed_blocks(page: str) -> list[Block]:
    """The executed blocks of a page, in its order."""
    text = read(page)
    return [Block(page, text.count("\n", 0, found.start(1)) + 1, found[1]) for found in _BLOCK.finditer(text)]


def run_all(blocks: Sequence[Block]) -> dict[str, Any]:
    """What the blocks of a page define together."""
    names: dict[str, Any] = {}
    for block in blocks:
        block.run(names)
    return names


def _sources(nodes: list[ast.AST]) -> set[str]:
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
