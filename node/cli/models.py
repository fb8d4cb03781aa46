"""`deltamesh models`: what an encoder can run, whether yours will do, and how fast it is."""

from __future__ import annotations

from contextlib import nullcontext
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.load_bar import load_bar
from node.cli.options import JsonOption
from node.cli.output import (
    counted,
    note,
    number,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
)

if TYPE_CHECKING:
    from node.models_check import ModelCheck

app = typer.Typer(help="Models an encoder can run.", no_args_is_help=True)

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="As `run encoder` takes it after --model.", show_default=False)
]
ThreadsOption = Annotated[int, typer.Option("--threads", metavar="N", help="Threads of the model.", min=1)]
ReferenceOption = Annotated[
    str, typer.Option("--reference", metavar="NAME", help="Whose space to align to: the network's reference.")
]
BATCHES = (1, 16, 64, 256)


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """Print the built-in models, and how one of your own is named."""
    from node.encoders import ENCODER_NAMES, EncoderError, check_encoder
    from node.encoders.models import KINDS

    rows = []
    for name in ENCODER_NAMES:
        try:
            check_encoder(name)
        except EncoderError as error:
            rows.append((name, "built in", str(error)))
        else:
            rows.append((name, "built in", "ready"))
    own = [(kind.form, "your own", kind.what) for kind in KINDS.values()]
    if json_:
        print_json([{"model": name, "kind": kind, "state": state} for name, kind, state in (*rows, *own)])
        return
    print_table("Models", ["--model", "kind", ""], [[*row] for row in (*rows, *own)])


@app.command("check")
def check(
    model: ModelArgument,
    reference: ReferenceOption = "wordllama-256",
    threads: ThreadsOption = 1,
    json_: JsonOption = False,
) -> None:
    """Load a model, align it, and say whether a network would hear it.

    It is scored by the rule of the network on texts that come with Python, beside built-in models: what it
    would have among them. Exits with 3 when it would not be heard.
    """
    from node.models_check import check_model

    with load_bar(model) or nullcontext(_unseen) as on_anchors:
        found = check_model(model, reference, threads, on_anchors)
    if json_:
        print_json(found.document())
    else:
        _print_check(found)
    if found.faults:
        raise CommandError(f"{model} would not be heard: {'; '.join(found.faults)}", ExitCode.BAD_INPUT)


@app.command("bench")
def bench(
    model: ModelArgument,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Timed runs; medians.", min=1)] = 5,
    threads: ThreadsOption = 1,
    json_: JsonOption = False,
) -> None:
    """Time a model: views a second by batch, called directly and through the node's process for it."""
    from node.encoders import DEFAULT_REFERENCE, load_encoder
    from node.encoders.anchors import anchor_texts
    from node.model_process.client import ModelProcess, ModelSettings

    texts = anchor_texts()[: max(BATCHES)]
    with load_bar(model) or nullcontext(_unseen) as on_anchors:
        direct = load_encoder(model, DEFAULT_REFERENCE, threads=threads, on_anchors=on_anchors)
    rows = []
    settings = ModelSettings(model, DEFAULT_REFERENCE, threads=threads, answer_within_s=600.0)
    with ModelProcess(settings) as process, progress("timing", len(BATCHES) * repeat) as bar:
        note(f"Starting {model} in a process of its own ...")
        process.start()
        for size in BATCHES:
            times: dict[str, list[float]] = {"direct": [], "process": []}
            for _ in range(repeat):
                # In turns: what else the machine does falls on both.
                for name, encoder in (("direct", direct), ("process", process)):
                    began = perf_counter()
                    encoder.encode(texts[:size])
                    times[name].append(perf_counter() - began)
                bar.step()
            one, other = median(times["direct"]), median(times["process"])
            rows.append(
                {"batch": size, "direct": size / one, "process": size / other, "overhead": other / one - 1}
            )
    if json_:
        print_json({"model": model, "threads": threads, "batches": rows})
        return
    print_table(
        f"{model}: views a second, medians of {counted(repeat, 'run')}",
        ["batch", "called directly", "through the node", "overhead"],
        [
            [f"{row['batch']}", f"{row['direct']:,.0f}", f"{row['process']:,.0f}", f"{row['overhead']:+.1%}"]
            for row in rows
        ],
        right=frozenset({"batch", "called directly", "through the node", "overhead"}),
    )


def _unseen(_: int, __: int) -> None:
    """Nobody watches."""


def _print_check(found: ModelCheck) -> None:
    rows = [[name, number(score)] for name, score in found.scores.items()]
    print_table("Scores on texts that come with Python", ["model", "score"], rows, right=frozenset({"score"}))
    print_facts(
        {
            "aligned to": found.reference,
            "repeats itself": "yes" if found.repeats else "no: the same view came back different",
            "withheld": f"{found.withheld} of {found.asked} views came back as no numbers",
            "speed": f"{found.views_per_s:,.0f} views a second",
        }
    )
    say(found.explanation)
    if not found.faults:
        say("A network would hear it.")
