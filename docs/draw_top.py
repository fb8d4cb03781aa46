"""Draws docs/images/top.svg, `deltamesh top` of a validator that runs.

deltamesh testnet up --dir net
PYTHONPATH=. python docs/draw_top.py net/validator-1
"""

from __future__ import annotations

import re
import sys
import time
from io import StringIO
from pathlib import Path

from rich.console import Console

from config.settings import load_settings
from node.cli.live.opening import opened_gathering
from node.cli.live.screen import render
from node.testnet.plan import NETWORK

TARGET = Path(__file__).parent / "images" / "top.svg"
COLUMNS, LINES = 96, 28
LOOKS = 3
"""Rates need a look before, and the past comes in a few of them."""


def main() -> None:
    """Look at the node as the command does, and write the last picture."""
    settings = load_settings({"home": Path(sys.argv[1]), "network": NETWORK})
    with opened_gathering(settings) as gathering:
        for _ in range(LOOKS):
            picture = gathering.picture()
            time.sleep(1)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(render(picture, COLUMNS, LINES))
    drawn = console.export_svg(title="deltamesh top", unique_id="top")
    # Fonts from elsewhere are not loaded where a picture is embedded; the reader's own will do.
    drawn = re.sub(r"\s*@font-face \{.*?\}\n", "\n", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)
    TARGET.write_text(re.sub(r"[ \t]+\n", "\n", drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
