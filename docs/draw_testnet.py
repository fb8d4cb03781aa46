"""Draws docs/images/testnet.svg, the live table of a real run, from the run's summary.

    deltamesh testnet up --rounds 3 --json summary.json
    PYTHONPATH=. python docs/draw_testnet.py summary.json

What is drawn is the last frame before the last certificate: its round's answers are in, its scores are not.
"""

from __future__ import annotations

import json
import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from config.genesis import load_genesis
from node.keys import load_key
from node.testnet.plan import NETWORK, NodePlan, TestnetPlan
from node.testnet.table import render
from node.testnet.watch import Watcher

TARGET = Path(__file__).parent / "images" / "testnet.svg"
COLUMNS = 86


def plan_of(summary: dict[str, object]) -> TestnetPlan:
    """The network of a summary, as far as its table needs it."""
    root = Path(str(summary["directory"]))
    genesis = load_genesis(root / "genesis.json")
    rounds = summary["rounds"]
    assert isinstance(rounds, list)
    encoders = tuple(
        NodePlan(
            f"encoder-{row['public_key'][:8]}",
            "encoder",
            root,
            bytes.fromhex(row["public_key"]),
            None,
            row["runs"],
            row["cheats"],
        )
        for row in rounds[-1]["encoders"]
    )
    homes = {public_key_of(home): home for home in sorted(root.glob("validator-*"))}
    validators = tuple(
        NodePlan(homes[key].name, "validator", homes[key], key, None) for key in genesis.validators
    )
    return TestnetPlan(root, genesis, validators, encoders)


def public_key_of(home: Path) -> bytes:
    """Public key of a node of a local network."""
    return load_key(home / NETWORK / "key").public_key


def main() -> None:
    """Read the stores of the nodes and write the picture."""
    summary = json.loads(Path(sys.argv[1]).read_text())
    plan = plan_of(summary)
    watcher = Watcher(plan)
    views = [watcher.round(row["round"]) for row in summary["rounds"]]
    watcher.close()
    *past, last = views
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    nodes = len(plan.nodes)
    console.print(render(plan, last, past, f"{nodes} of {nodes} nodes run; round {last.round}: scoring"))
    drawn = console.export_svg(title="deltamesh testnet up --rounds 3", unique_id="testnet")
    # Fonts from elsewhere are not loaded where a picture is embedded; the reader's own will do.
    drawn = re.sub(r"\s*@font-face \{.*?\}\n", "\n", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)
    TARGET.write_text(re.sub(r"[ \t]+\n", "\n", drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
