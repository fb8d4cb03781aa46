"""What refits leave in a model's process: `python -m benchmarks.refit_memory --model ngram --refits 10`.

One model's process refits its map again and again, as an encoder's does once an epoch: 4,096 pairs, some of
them new each time. Prints its anonymous memory after each refit and the most there was during it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.memory_run import MIB, sample, write_items
from node.model_process.client import ModelProcess, ModelSettings
from node.model_process.wire import Refit
from node.pairs import PAIRS_MAX, Pair, Pairs
from protocol.items import canonical_text
from protocol.report import DIMENSIONS

REFERENCE = "wordllama-256"
STEP_S = 0.2
LOOK_EVERY_S = 0.01


class Peak(threading.Thread):
    """The most anonymous memory a process has had since the last look."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._most = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(LOOK_EVERY_S):
            self._most = max(self._most, anonymous(self._pid))

    def taken(self) -> int:
        """The most so far, from now on counted anew."""
        most, self._most = self._most, 0
        return most

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


def anonymous(pid: int) -> int:
    """Bytes; 0 once the process has ended."""
    found = sample(pid, 0.0, 0)
    return 0 if found is None else found.anonymous


def add_pairs(pairs: Pairs, texts: list[bytes], round_: int, draw: np.random.Generator) -> None:
    """Pairs of a round, their vectors drawn at random: what is fitted does not matter here."""
    vectors = draw.standard_normal((len(texts), DIMENSIONS)).astype("<f4")
    pairs.add(
        [Pair(text, vector.tobytes(), round_, 0, True) for text, vector in zip(texts, vectors, strict=True)]
    )


def refit(process: ModelProcess, folder: Path) -> None:
    """One refit, a step at a time as an encoder asks for it."""
    begins = True
    while process.refit(Refit(str(folder), PAIRS_MAX, STEP_S, begins, False)).fitted is None:
        begins = False


def main() -> None:
    """Refit, and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="ngram")
    parser.add_argument("--refits", type=int, default=10)
    parser.add_argument("--new", type=int, default=400, help="pairs that are new in each epoch")
    given = parser.parse_args()
    draw = np.random.default_rng(0)
    with TemporaryDirectory(prefix="dm") as root:
        folder = Path(root)
        write_items(folder / "items.jsonl", PAIRS_MAX + given.refits * given.new, 0)
        lines = (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()
        texts = list(dict.fromkeys(canonical_text(json.loads(line)["text"]) for line in lines))
        random.Random(0).shuffle(texts)
        with (
            Pairs.open(folder) as pairs,
            ModelProcess(ModelSettings(given.model, REFERENCE, folder, target="consensus")) as process,
        ):
            process.start()
            add_pairs(pairs, texts[:PAIRS_MAX], 0, draw)
            peak = Peak(process.pid)
            peak.start()
            sys.stdout.write(f"started: {anonymous(process.pid) / MIB:.1f} MiB\n")
            for number in range(given.refits):
                began_s = time.monotonic()
                refit(process, folder)
                took_s = time.monotonic() - began_s
                sys.stdout.write(
                    f"refit {number + 1}: {anonymous(process.pid) / MIB:.1f} MiB, at most "
                    f"{peak.taken() / MIB:.1f} MiB, {took_s:.1f} s\n"
                )
                sys.stdout.flush()
                first = PAIRS_MAX + number * given.new
                add_pairs(pairs, texts[first : first + given.new], number + 1, draw)
            peak.stop()


if __name__ == "__main__":
    main()
