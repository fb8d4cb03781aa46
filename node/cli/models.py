"""`deltamesh models`: what an encoder can run, whether yours will do, and how fast it is."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.load_bar import load_bar
from node.cli.options import JsonOption
from node.cli.output import (
    counted,
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
ModalityOption = Annotated[
    str | None,
    typer.Option(
        "--modality",
        metavar="NAME",
        help="What a model of your own embeds: text, image, audio, series or bytes. Built-in ones tell.",
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="NAME",
        help="Whose space to align to: the network's reference. The usual one of the modality without it.",
    ),
]


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """Print the built-in models, and how one of your own is named."""
    from node.encoders import ENCODER_NAMES, EncoderError, check_encoder
    from node.encoders.catalogue import modality_of
    from node.encoders.models import KINDS

    rows = []
    for name in ENCODER_NAMES:
        try:
            check_encoder(name)
        except EncoderError as error:
            state = str(error)
        else:
            state = "ready"
        rows.append((name, modality_of(name), "built in", state))
    own = [(kind.form, kind.embeds, "your own", kind.what) for kind in KINDS.values()]
    columns = ("model", "modality", "kind", "state")
    if json_:
        print_json([dict(zip(columns, row, strict=True)) for row in (*rows, *own)])
        return
    print_table("Models", ["--model", "modality", "kind", ""], [[*row] for row in (*rows, *own)])


@app.command("check")
def check(
    model: ModelArgument,
    reference: ReferenceOption = None,
    modality: ModalityOption = None,
    threads: ThreadsOption = 1,
    json_: JsonOption = False,
) -> None:
    """Load a model, align it, and say whether a network would hear it.

    It is scored by the rule of the network on data that come with Python and scikit-learn, beside built-in
    models of the same modality: what it would have among them. Exits with 3 when it would not be heard.
    """
    from node.models_check import check_model

    with load_bar(model) or nullcontext(_unseen) as on_anchors:
        found = check_model(model, reference, threads, on_anchors, modality=modality)
    if json_:
        print_json(found.document())
    else:
        _print_check(found)
    if found.faults:
        raise CommandError(f"{model} would not be heard: {'; '.join(found.faults)}", ExitCode.BAD_INPUT)


@app.command("bench")
def bench(
    model: ModelArgument,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Timed turns; medians.", min=1)] = 5,
    modality: ModalityOption = None,
    threads: ThreadsOption = 1,
    json_: JsonOption = False,
) -> None:
    """Time a model: views a second by batch, called directly and through the node's process for it."""
    from node.models_bench import BATCHES, bench_model

    with ExitStack() as stack:
        on_anchors = stack.enter_context(load_bar(model) or nullcontext(_unseen))
        bar = stack.enter_context(progress("timing", len(BATCHES)))
        found = bench_model(
            model, threads, repeat, modality=modality, on_anchors=on_anchors, on_batch=bar.step
        )
    if json_:
        print_json(found.document())
        return
    columns = [
        "batch",
        "the model alone",
        "aligned",
        "through the node",
        "overhead",
        "in CPU",
        "with alignment",
    ]
    print_table(
        f"{model}: views a second, medians of {counted(repeat, 'turn')}",
        columns,
        [
            [
                f"{row.batch}",
                *(f"{speed:,.0f}" for speed in (row.model, row.aligned, row.process)),
                f"{row.overhead:+.1%}",
                "-" if row.cpu_overhead is None else f"{row.cpu_overhead:+.1%}",
                f"{row.overhead_with_alignment:+.1%}",
            ]
            for row in found.batches
        ],
        right=frozenset(columns),
    )


def _unseen(_: int, __: int) -> None:
    """Nobody watches."""


def _print_check(found: ModelCheck) -> None:
    rows = [[name, number(score)] for name, score in found.scores.items()]
    title = f"Scores on samples of {found.modality}"
    print_table(title, ["model", "score"], rows, right=frozenset({"score"}))
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
