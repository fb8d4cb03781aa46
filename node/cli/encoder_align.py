"""`deltamesh encoder align`: bring a model into its network's space, and hear what quality it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    genesis_of,
    settings_of,
)
from node.cli.output import counted, error_console, note, number, print_facts, print_json, print_table

if TYPE_CHECKING:
    from node.aligning import AlignedModel, OnProgress
    from node.encoders.refit import Way


def align(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="As `run encoder` takes it after --model.", show_default=False),
    ],
    home: HomeOption = None,
    network: NetworkOption = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="reference: its vectors of anchors. consensus: what the network has certified.",
        ),
    ] = "reference",
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="procrustes or ridge. [default: a built-in model's own; of others the better one]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option("--strength", metavar="X", help="Penalty of ridge. [default: 0.3]", show_default=False),
    ] = None,
    pairs: Annotated[
        int, typer.Option("--pairs", metavar="N", help="Pairs at most.", min=1_000, max=4_096)
    ] = 4_096,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of the model.", min=1)] = 1,
    json_: JsonOption = False,
) -> None:
    """Fit a model to the network's space and keep the map, so that `run encoder` goes by it.

    Procrustes turns the model's space and keeps its own quality; ridge bends it towards the others', who then
    agree with it more. What is lost is measured: a mask finds its inverse, before and after, and the score
    the model would have beside built-in ones. A running encoder takes a new map when it is started again.
    """
    from node.aligning import Wanted, align_model, ways_for
    from node.encoders.alignment_store import FOLDER_NAME
    from node.encoders.own_alignment import Target

    if to not in (one.value for one in Target):
        raise CommandError(f"--to {to}: say reference or consensus", ExitCode.USAGE)
    way = _way(method, strength)
    directory = existing_directory(settings_of(home, network))
    parameters = genesis_of(directory).parameters
    wanted = Wanted(
        model,
        parameters.reference_encoder,
        Target(to),
        ways_for(model) if way is None else (way,),
        pairs,
        directory.root,
        directory.root / FOLDER_NAME,
        threads,
        parameters.modality,
    )
    with _bars() as told:
        best, *others = align_model(wanted, told)
    if json_:
        print_json({**best.document(), "others": [other.document() for other in others]})
        return
    _print(best, others)


def _way(method: str | None, strength: float | None) -> Way | None:
    from node.encoders.alignment import MINILM_RIDGE_STRENGTH, Alignment
    from node.encoders.refit import ROTATION, Way

    if method is not None and method not in (one.value for one in Alignment):
        raise CommandError(f"--method {method}: say procrustes or ridge", ExitCode.USAGE)
    if strength is not None and method != Alignment.RIDGE.value:
        raise CommandError("--strength belongs to ridge: add --method ridge", ExitCode.USAGE)
    if strength is not None and not 0 < strength <= 1_000:
        raise CommandError(f"--strength {strength}: say a number above 0, up to 1000", ExitCode.USAGE)
    if method is None:
        return None
    ridge = Way(Alignment.RIDGE, MINILM_RIDGE_STRENGTH if strength is None else strength)
    return ROTATION if method == Alignment.PROCRUSTES.value else ridge


@contextmanager
def _bars() -> Iterator[OnProgress]:
    """A bar a step, on standard error while somebody watches."""
    from rich.progress import Progress

    console = error_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield told


def _print(best: AlignedModel, others: list[AlignedModel]) -> None:
    print_table(
        "Scores beside built-in models",
        ["model", "score"],
        [[name, number(score)] for name, score in best.scores.items()],
        right=frozenset({"score"}),
    )
    before = "" if best.cosine_before is None else f", {number(best.cosine_before)} before"
    kept = best.retrieval / best.retrieval_native if best.retrieval_native else 0.0
    print_facts(
        {
            "aligned to": f"the {best.target} by {_named(best)}, on {counted(best.pairs, 'pair')}",
            "mean cosine": f"{number(best.cosine)} on pairs that were not fitted on{before}",
            "mask finds inverse": f"{number(best.retrieval)} by mean reciprocal rank, "
            f"{number(best.retrieval_native)} in its own space: it keeps {kept:.0%}",
            "kept in": best.stored,
        }
    )
    if best.seen:
        note(f"{counted(best.seen, 'item')} it was measured on are among the pairs: expect less elsewhere.")
    for other in others:
        note(
            f"By {_named(other)} its score would be {number(other.score)}, and a mask would find its inverse "
            f"at {number(other.retrieval)}."
        )
    how = " --align consensus" if best.target == "consensus" else " --align reference"
    note(f"Run it with `deltamesh run encoder --model {best.model}{how}`.")


def _named(found: AlignedModel) -> str:
    return found.method if found.strength is None else f"{found.method} {found.strength:g}"
