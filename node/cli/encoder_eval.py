"""`deltamesh encoder eval`: how good models are, side by side, on labelled data that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption
from node.cli.output import note, progress

if TYPE_CHECKING:
    from node.cli.encoder_eval_output import Form
    from node.evaluation.consensus import Published
    from node.evaluation.data import LabelledData
    from node.evaluation.exam import Exam
    from node.evaluation.models import Space
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
        str, typer.Option("--reference", metavar="NAME", help="Whose space to align to.")
    ] = "wordllama-256",
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
    from node.cli.encoder_eval_output import Form
    from node.evaluation.exam import exam_of
    from node.evaluation.models import Space
    from node.evaluation.own_files import write_rows
    from node.evaluation.sources import labelled_data

    if json_ and csv_:
        raise CommandError("--json and --csv are two formats: say one of them", ExitCode.USAGE)
    labelled = labelled_data(modality, data).drawn(items, seed)
    if save_items is not None:
        write_rows(save_items, labelled)
        note(f"{save_items} written.")
    published = None if consensus is None else _published(consensus, home, labelled)
    rows = []
    if published is not None:
        from node.evaluation.run import row_of_vectors

        labelled, vectors = published.of(labelled)
        exam = exam_of(labelled, seed)
        rows.append(row_of_vectors("consensus", published.space, vectors, exam))
    else:
        exam = exam_of(labelled, seed)
    if not models and published is None and save_items is not None:
        return
    space = Space.NATIVE if native else Space.ALIGNED
    rows = [*_measured(models or [], space, exam, reference, threads, cache), *rows]
    form = Form.CSV if csv_ else Form.JSON if json_ else Form.TABLE
    _show(exam, rows, picture, form)


def _measured(
    models: list[str], space: Space, exam: Exam, reference: str, threads: int, cache: Path | None
) -> list[Row]:
    """Rows of the models and the baselines, with a progress bar."""
    from node.bench.views import default_cache_dir
    from node.evaluation.models import baselines, open_model
    from node.evaluation.row_store import RowStore
    from node.evaluation.run import question_of, row_of

    folder = cache or default_cache_dir()
    store = RowStore(folder, question_of(exam))
    others = baselines(exam.data)
    rows = []
    with progress("embedding", (len(models) + len(others)) * len(exam.views)) as bar:
        for name in models:
            note(f"Loading {name} ...")
            model = open_model(name, space, reference=reference, cache_dir=folder, threads=threads)
            rows.append(row_of(model, exam, store, bar.step))
        rows += [row_of(one, exam, store, bar.step) for one in others]
    return rows


def _published(source: str, home: Path | None, data: LabelledData) -> Published:
    """The consensus embeddings of the items, from a file or from the store of a network's validator."""
    from node.evaluation.consensus import published_in_file, published_in_store

    ids = [item.id for item in data.items]
    if Path(source).suffix:
        return published_in_file(Path(source), ids)
    from node.cli.options import existing_directory, genesis_of, reading_store, settings_of
    from node.space import open_space

    directory = existing_directory(settings_of(home, source))
    genesis = genesis_of(directory)
    with reading_store(directory) as store:
        if store is None:
            raise CommandError(
                f"{directory.root} has no store yet: run its validator, and submit the items",
                ExitCode.NODE_STATE,
            )
        return published_in_store(store, open_space(genesis, store), ids)


def _show(exam: Exam, rows: list[Row], picture: Path | None, form: Form) -> None:
    from node.cli.encoder_eval_output import print_evaluation
    from node.evaluation.picture import draw_maps

    if picture is not None:
        title = f"{len(exam.data.items):,} items of {len(set(exam.data.labels))} classes: {exam.data.name}"
        picture.write_text(draw_maps(rows, exam.data.labels, title), encoding="utf-8")
        note(f"{picture} written.")
    print_evaluation(exam, rows, form)
