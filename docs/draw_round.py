"""Draws docs/images/round.svg, one round as a sequence: `python docs/draw_round.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

TARGET = Path(__file__).parent / "images" / "round.svg"

WIDTH, HEADER, STEP, TOP = 960, 96, 44, 138
LANES = {"encoders": 168, "dealer": 486, "validators": 800}
TITLES = {
    "encoders": ("encoders of the shard", "sampled by stake"),
    "dealer": ("dealer", "a validator, drawn by stake"),
    "validators": ("all validators", "the dealer among them"),
}

# A panel of its own, so that the picture reads on any page; dark where the reader's system is.
STYLE = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .lane { stroke: #b9bdc4; stroke-dasharray: 2 4 }
  .head { fill: #eef0f3; stroke: #b9bdc4 } .band { fill: #e8f0fb } .own { fill: #f6ecd9; stroke: #d8b878 }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 12px; fill: #596273 } .strong { font-weight: bold }
  .wave { font-size: 12px; font-weight: bold; fill: #1b5fb0 }
  .arrow { stroke: #1d2430; stroke-width: 1.5; fill: none } .tip { fill: #1d2430 }
  @media (prefers-color-scheme: dark) {
    .panel { fill: #14181f; stroke: #343b46 } .lane { stroke: #4a5361 }
    .head { fill: #222934; stroke: #4a5361 }
    .band { fill: #182638 } .own { fill: #3a3120; stroke: #7d6738 } text { fill: #e4e8ee }
    .small { fill: #9ba6b5 } .wave { fill: #7cb2f2 } .arrow { stroke: #e4e8ee } .tip { fill: #e4e8ee }
  }
"""


@dataclass
class Drawing:
    """Parts of the picture from top to bottom."""

    y: int = TOP
    back: list[str] = field(default_factory=list)
    front: list[str] = field(default_factory=list)

    def arrow(self, source: str, target: str, words: str, small: str = "") -> None:
        """One message from lane to lane, its words above and a remark below the line."""
        start, end = LANES[source], LANES[target]
        step = 8 if end > start else -8
        middle = (start + end) // 2
        self.front.append(f'<path class="arrow" d="M{start} {self.y}H{end - step}"/>')
        self.front.append(f'<path class="tip" d="M{end} {self.y}l{-step - step // 2} -5v10z"/>')
        self._text(middle, self.y - 7, words)
        if small:
            self._text(middle, self.y + 15, small, "small")
        self.y += STEP

    def work(self, lane: str, words: str, width: int = 220) -> None:
        """Something one lane does by itself."""
        x = LANES[lane] - width // 2
        self.front.append(f'<rect class="own" x="{x}" y="{self.y - 22}" width="{width}" height="30" rx="4"/>')
        self._text(LANES[lane], self.y - 2, words)
        self.y += STEP

    def wave(self, title: str, commit: str, lock: str, remark: str) -> None:
        """One wave: a commit by everyone asked, then the lock that opens the next."""
        top = self.y - 26
        self.back.append(
            f'<rect class="band" x="24" y="{top}" width="{WIDTH - 48}" height="{2 * STEP + 8}"/>'
        )
        x = LANES["validators"] - 116
        self.front.append(f'<rect class="band" x="{x}" y="{top + 18}" width="232" height="44"/>')
        self._text(LANES["validators"], top + 34, title, "wave")
        self._text(LANES["validators"], top + 54, remark, "small")
        self.y += 4
        self.arrow("encoders", "dealer", commit, "to two witnesses too")
        self.arrow("dealer", "encoders", lock)
        self.y += 12

    def _text(self, x: int, y: int, words: str, kind: str = "") -> None:
        attribute = f' class="{kind}"' if kind else ""
        self.front.append(f'<text x="{x}" y="{y}" text-anchor="middle"{attribute}>{escape(words)}</text>')


def picture() -> str:
    """The whole SVG."""
    d = Drawing()
    d.arrow("dealer", "encoders", "challenge: sealed views, key of wave 1", "by gossip and by stream, signed")
    d.y += 12
    d.wave("wave 1: a mask of each item", "commit to the answers", "lock 1, key of wave 2",
           "a few spans of its words")  # fmt: skip
    d.wave("wave 2: the inverses", "commit to the answers", "lock 2, key of wave 3",
           "the words that are left")  # fmt: skip
    d.wave("wave 3: full items, more masks", "commit to the answers", "lock 3",
           "nobody has seen an answer yet")  # fmt: skip
    d.arrow("encoders", "dealer", "reveal: salts and answers", "4,096 bytes a view")
    d.work("dealer", "score the shard", 170)
    d.arrow("dealer", "validators", "report: items, secret, scores", "consensus embeddings, every signature")
    d.arrow("encoders", "validators", "answers, fetched by their digest")
    d.work("validators", "audit and recompute all of it")
    d.arrow("validators", "dealer", "attestation, or a dispute")
    d.arrow("dealer", "validators", "certificate: two thirds of all stake", "anyone can check it offline")
    bottom = d.y - 4
    heads = []
    for lane, x in LANES.items():
        title, remark = TITLES[lane]
        heads.append(f'<path class="lane" d="M{x} {HEADER}V{bottom}"/>')
        heads.append(f'<rect class="head" x="{x - 128}" y="28" width="256" height="60" rx="6"/>')
        heads.append(f'<text class="strong" x="{x}" y="54" text-anchor="middle">{title}</text>')
        heads.append(f'<text class="small" x="{x}" y="75" text-anchor="middle">{remark}</text>')
    height = bottom + 24
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-label="One round of deltamesh">',
            f"<style>{STYLE}</style>",
            f'<rect class="panel" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="8"/>',
            *d.back,
            *heads,
            *d.front,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
