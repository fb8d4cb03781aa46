"""The command line under test: in this process, or as a real one; and data directories to point it at."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from config.datadir import DataDir
from config.genesis import save_genesis
from node.cli import app
from node.store import (
    DisputeRecord,
    EmbeddingRecord,
    RoundRecord,
    RoundState,
    ScoreRecord,
    StepRecord,
    Store,
)
from protocol.codec import encode
from protocol.items import item_id
from protocol.messages import Dispute
from protocol.report import VECTOR_BYTES
from protocol.rounds.effects import Purpose
from tests.support.certified_round import CertifiedRound, certified_round

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one sentence of a user's mistake: no traceback, one line that begins with `error:`."""
        assert "Traceback" not in self.err + self.out, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error: ")


def deltamesh(*arguments: object, stdin: str | bytes | None = None) -> Ended:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, prog_name="deltamesh")
    return Ended(result.exit_code, result.stdout, result.stderr)


def process(*arguments: object, before: str = "", stdout: Path | None = None) -> Ended:
    """Run a command as a process of its own; `before` is Python run first in it."""
    code = f"{before}\nfrom node.cli import main\nmain()"
    with open(stdout or "/dev/null", "wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", code, *(str(one) for one in arguments)],
            cwd=ROOT,
            stdout=file if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    return Ended(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def short_texts(count: int) -> str:
    """Paragraphs of 48 words, each an item of its own."""
    return "\n\n".join(f"Paragraph {n} " + " ".join(f"word{n}x{k}" for k in range(46)) for n in range(count))


def directory_of(home: Path) -> DataDir:
    """The data directory of a home, created."""
    return DataDir.open(home, "localnet")


def home_with_round(home: Path, rounds: int = 1) -> CertifiedRound:
    """A data directory that has seen round 0 certified, and `rounds` - 1 later ones that ended void."""
    round_ = certified_round()
    directory = directory_of(home)
    save_genesis(directory.genesis, round_.genesis)
    with Store.open(directory.store, directory.blobs) as store:
        _record(store, round_)
        for number in range(1, rounds):
            store.record_round(RoundRecord(0, number, 0, RoundState.VOID, number))
    return round_


def _record(store: Store, round_: CertifiedRound) -> None:
    at = round_.header.body.at
    for name, data in round_.blobs.items():
        purpose = Purpose.REPORT if name == round_.header.body.body else Purpose.REVEAL
        store.put_blob(data, at.round, purpose)
    store.put_blob(encode(round_.body), at.round, Purpose.REPORT)
    store.record_round(
        RoundRecord(
            at.epoch,
            at.round,
            at.shard,
            RoundState.CERTIFIED,
            1_700_000_000_000,
            round_.header.signer,
            round_.header.digest,
            round_.header.data,
            encode(round_.certificate),
            {"scoring": 120},
        )
    )
    keys, scores = round_.task.encoders, round_.body.scores
    terms = {term.name: _floats(term.values) for term in scores.terms}
    score, weight = _floats(scores.score), _floats(scores.weight)
    store.record_scores(
        ScoreRecord(
            at.round, at.shard, key, score[n], weight[n], {name: values[n] for name, values in terms.items()}
        )
        for n, key in enumerate(keys)
    )
    vectors = [
        scores.consensus[n * VECTOR_BYTES : (n + 1) * VECTOR_BYTES] for n in range(round_.header.body.items)
    ]
    assert not any(math.isnan(struct.unpack_from("<f", vector)[0]) for vector in vectors)
    store.record_embeddings(
        EmbeddingRecord(item_id(item), at.round, at.shard, n, at.epoch, vectors[n])
        for n, item in enumerate(round_.task.batch.items)
    )
    store.record_step(
        StepRecord(
            at.round, at.shard, "locked", 1, 340, keys[1:], keys[:1], "late \x1b[31mred", 1_700_000_000_000
        )
    )
    disputer = sorted(round_.validators)[0]
    dispute = Dispute(at, round_.header.digest, "weight", keys[0], 4_200, "differs \x1b[2Jhere")
    envelope = round_.sign(disputer, dispute)
    store.put_dispute(DisputeRecord(b"\x01" * 32, at.round, at.shard, disputer, envelope, 5))


def _floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)
