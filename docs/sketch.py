"""What the drawn diagrams share: boxes, arrows and text on a panel, light or dark as the reader has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

STYLE = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .box { fill: #ffffff; stroke: #9aa1ad }
  .group { fill: #f1f3f6; stroke: #c3c8d0 } .process { fill: #e8f0fb; stroke: #a9c3e6 }
  .signed { fill: #f6ecd9; stroke: #d8b878 } .held { fill: #e6f2e8; stroke: #9cc5a5 }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .strong { font-weight: bold } .small { font-size: 12px; fill: #4f5969 }
  .title { font-size: 17px; font-weight: bold }
  .arrow { stroke: #1d2430; stroke-width: 1.5; fill: none } .tip { fill: #1d2430 }
  .dashed { stroke-dasharray: 5 4 } .step { fill: #1b5fb0 } .number { fill: #ffffff; font-weight: bold }
  @media (prefers-color-scheme: dark) {
    .panel { fill: #14181f; stroke: #343b46 } .box { fill: #1b212b; stroke: #5b6473 }
    .group { fill: #1a1f28; stroke: #3d4553 } .process { fill: #182638; stroke: #35557d }
    .signed { fill: #3a3120; stroke: #7d6738 } .held { fill: #1b2d21; stroke: #3d6b49 }
    text { fill: #e4e8ee } .small { fill: #a9b3c1 } .arrow { stroke: #e4e8ee } .tip { fill: #e4e8ee }
    .step { fill: #7cb2f2 } .number { fill: #14181f }
  }
"""
LINE = 19
TIP = 11


@dataclass
class Sketch:
    """Parts of a picture, in the order they are painted."""

    title: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def text(self, x: int, y: int, words: str, kind: str = "", anchor: str = "middle") -> None:
        """One line, its baseline at y."""
        attribute = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>')

    def box(self, x: int, y: int, width: int, height: int, kind: str, head: str = "", *lines: str) -> None:
        """A box; its head bold and its lines small, centred."""
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        middle = x + width // 2
        top = y + (height - LINE * (len(lines) + bool(head))) // 2 + 15
        if head:
            self.text(middle, top, head, "strong")
        for place, line in enumerate(lines, bool(head)):
            self.text(middle, top + LINE * place, line, "small")

    def frame(self, x: int, y: int, width: int, height: int, kind: str, head: str, remark: str = "") -> None:
        """A box with its head on top, for others to lie in."""
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>')
        self.text(x + 14, y + 23, head, "strong", "start")
        if remark:
            self.text(x + 14, y + 23 + LINE - 2, remark, "small", "start")

    def arrow(self, *points: tuple[int, int], both: bool = False, dashed: bool = False) -> None:
        """A line of straight pieces, across or down, with a tip at its end."""
        (ax, ay), (bx, by) = points[-2], points[-1]
        dx, dy = (bx > ax) - (bx < ax), (by > ay) - (by < ay)
        ends = [*points[:-1], (bx - dx * TIP, by - dy * TIP)]
        if both:
            (cx, cy), (fx, fy) = points[1], points[0]
            ex, ey = (fx > cx) - (fx < cx), (fy > cy) - (fy < cy)
            ends[0] = (fx - ex * TIP, fy - ey * TIP)
            self._tip(fx, fy, ex, ey)
        path = "M" + "L".join(f"{x} {y}" for x, y in ends)
        self.parts.append(f'<path class="arrow{" dashed" if dashed else ""}" d="{path}"/>')
        self._tip(bx, by, dx, dy)

    def step(self, x: int, y: int, number: int) -> None:
        """A number in a disc."""
        self.parts.append(f'<circle class="step" cx="{x}" cy="{y}" r="11"/>')
        self.text(x, y + 5, str(number), "number")

    def svg(self) -> str:
        """The whole picture."""
        width, height = self.width, self.height
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" aria-label="{escape(self.title)}">',
                f"<title>{escape(self.title)}</title><style>{STYLE}</style>",
                f'<rect class="panel" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )

    def _tip(self, x: int, y: int, dx: int, dy: int) -> None:
        back_x, back_y = x - dx * TIP, y - dy * TIP
        corners = f"M{x} {y}L{back_x - dy * 5} {back_y - dx * 5}L{back_x + dy * 5} {back_y + dx * 5}z"
        self.parts.append(f'<path class="tip" d="{corners}"/>')
