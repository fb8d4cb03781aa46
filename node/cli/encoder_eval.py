"""`deltamesh encoder eval`: how good models are, side by side, on labelled data that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption
from node.cli.output import note

if TYPE_CHECKING:
    from node.evaluation.exam import Exam
    from node.evaluation.row_store import Row


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL ...", help="As `run encoder` takes them after --model."),
    ] = None,
    modality: Annotated[
        str, typer.Option("--modality", metavar="NAME", help="What is embedded: text, image and others.")
    ] = "text",
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Labelled data: .jsonl, .csv or .parquet with columns text and label, or a folder with a "
            "folder for each class. `sample` needs no file.",
        ),
    ] = "sample",
    native: Annotated[
        bool,
        typer.Option("--native", help="In the models' own spaces, without alignment.", show_default=False),
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="NAME", help="Whose space to align to. [default: as nodes do]"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help="Align as the encoder of this network here does: what `encoder align` or the node itself "
            "has fitted goes first.",
            show_default=False,
        ),
    ] = None,
    consensus: Annotated[
        str | None,
        typer.Option(
            "--consensus",
            metavar="SOURCE",
            help="Published consensus as a row: a file of `embeddings export`, or the name of a network that "
            "has a validator here. Only items that were published are then looked at.",
        ),
    ] = None,
    home: HomeOption = None,
    items: Annotated[
        int, typer.Option("--items", metavar="N", help="Items at most, drawn evenly from all classes.", min=4)
    ] = 1_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Draws items and gallery.", min=0)] = 0,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of a model.", min=1)] = 1,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps finished rows. [default: the user's cache]"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Draw a 2-D map of each there.")
    ] = None,
    save_items: Annotated[
        Path | None,
        typer.Option(
            "--save-items",
            metavar="FILE.jsonl",
            help="Write the labelled texts there, to submit them to a network.",
        ),
    ] = None,
    csv_: Annotated[
        bool,
        typer.Option("--csv", help="Print CSV, and nothing else, to standard output.", show_default=False),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Measure models on labelled data, beside baselines that know nothing or only the bytes.

    Retrieval: a mask finds its inverse, what is missing finds the item with the gap, a caption finds its
    text, by mean reciprocal rank. Classes: nearest neighbours of a gallery, triplets, k-means. Then the terms
    of the scoring rule. Each figure comes with the interval that covers it in 95 % of bootstrap resamples.
    Rows that are done are kept: an evaluation that was stopped goes on where it was.
    """
    from node.bench.views import default_cache_dir
    from node.cli.encoder_eval_output import Form, print_evaluation
    from node.cli.encoder_eval_rows import consensus_of, measured, opening_of
    from node.evaluation.exam import exam_of
    from node.evaluation.models import Opening, Space
    from node.evaluation.own_files import write_rows
    from node.evaluation.run import row_of_vectors
    from node.evaluation.sources import labelled_data

    if json_ and csv_:
        raise CommandError("--json and --csv are two formats: say one of them", ExitCode.USAGE)
    folder = cache or default_cache_dir()
    space = Space.NATIVE if native else Space.ALIGNED
    how = Opening(modality, space, reference, maps=folder, threads=threads)
    if network is not None:
        how = opening_of(network, home, how)
    labelled = labelled_data(modality, data).drawn(items, seed)
    if save_items is not None:
        write_rows(save_items, labelled)
        note(f"{save_items} written.")
        if not models and consensus is None:
            return
    rows = []
    if consensus is not None:
        published = consensus_of(consensus, home, labelled)
        labelled, vectors = published.of(labelled)
        rows.append(row_of_vectors("consensus", published.space, vectors, exam_of(labelled, seed)))
    exam = exam_of(labelled, seed)
    rows = [*measured(models or [], how, exam, folder), *rows]
    if picture is not None:
        _draw(exam, rows, picture)
    print_evaluation(exam, rows, Form.CSV if csv_ else Form.JSON if json_ else Form.TABLE)


def _draw(exam: Exam, rows: list[Row], picture: Path) -> None:
    from node.evaluation.picture import draw_maps

    title = f"{len(exam.data.items):,} items of {len(set(exam.data.labels))} classes: {exam.data.name}"
    picture.write_text(draw_maps(rows, exam.data.labels, title), encoding="utf-8")
    note(f"{picture} written.")
