"""`deltamesh encoder train`: a small model of one's own, from files or from what a network agrees on."""

from __future__ import annotations

from pathlib import Path
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
from node.cli.output import counted, note, number, print_facts, print_json, progress

if TYPE_CHECKING:
    from node.training.models import EmbeddingModel
    from node.training.train import Options
    from node.training.training_set import TrainingSet


def train(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="The model, its log and its checkpoint.")
    ],
    modality: Annotated[
        str, typer.Option("--modality", metavar="NAME", help="text, image or series.")
    ] = "text",
    data: Annotated[
        str, typer.Option("--data", metavar="PATH", help="A file or folder, or `sample`.")
    ] = "sample",
    from_consensus: Annotated[
        bool,
        typer.Option("--from-consensus", help="Learn from the pairs that the encoder of --network gathered."),
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            metavar="NAME=WEIGHT",
            help="contrastive, triplet, triplet-plain, generalized-triplet, n-pair, infonce, differential, "
            "differential-literal or distillation. Repeatable. [default: infonce=1; from a consensus "
            "distillation=1 and infonce=0.3]",
        ),
    ] = None,
    positives: Annotated[
        str | None,
        typer.Option(
            "--positives",
            metavar="FROM",
            help="labels, masks, windows, gaps or moves. [default: windows of series, else masks]",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="FOLDER", help="Begin with the weights of this model."),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", min=1)] = 20,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=2, help="Items of a batch.")] = 64,
    rate: Annotated[float, typer.Option("--rate", metavar="X", help="Of Adam.")] = 0.002,
    margin: Annotated[
        float, typer.Option("--margin", metavar="X", help="Of the losses that have one.")
    ] = 0.2,
    temperature: Annotated[float, typer.Option("--temperature", metavar="X", help="Of infonce.")] = 0.1,
    patience: Annotated[
        int, typer.Option("--patience", metavar="N", min=1, help="End after so many epochs without progress.")
    ] = 5,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0)] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the training in --out was ended.")
    ] = False,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", metavar="N", min=1)] = 1,
    json_: JsonOption = False,
) -> None:
    """Train a small model: hashed words for text, convolutions for images and series.

    A tenth of the data is held out; the weights that did best on it are kept, as safetensors beside a JSON of
    the architecture, and losses and metric go to training.csv. The same seed gives the same model, also when
    the training was ended and taken up with --resume. `deltamesh run encoder --model trained:FOLDER` runs it.
    """
    import torch

    from node.training.data import architecture_for, load_training_set
    from node.training.folder import load_model
    from node.training.from_consensus import consensus_set, lift_onto
    from node.training.mixture import Constants, Mixture
    from node.training.models import build_model
    from node.training.positives import Positives
    from node.training.train import Options

    torch.set_num_threads(threads)
    place = _device(device)
    if from_consensus:
        directory = existing_directory(settings_of(home, network))
        found = consensus_set(directory, genesis_of(directory).parameters.modality)
    else:
        found = load_training_set(modality, data)
    usual = ["distillation=1", "infonce=0.3"] if from_consensus else ["infonce=1"]
    source = positives or ("windows" if found.recordings is not None else "masks")
    if source not in [one.value for one in Positives]:
        raise CommandError(
            f"there are no positives from '{source}': use {', '.join(one.value for one in Positives)}",
            ExitCode.USAGE,
        )
    options = Options(
        Mixture.parsed(loss or usual, Constants(margin, temperature)),
        Positives(source),
        epochs,
        batch,
        rate,
        seed,
        patience,
    )
    model = (load_model(start) if start else build_model(architecture_for(found), seed)).to(place)
    if model.modality != found.modality:
        raise CommandError(
            f"{start} embeds {model.modality}, the data are {found.modality}", ExitCode.BAD_INPUT
        )
    if from_consensus:
        lift_onto(model, found)
    _train(model, found, options, out, resume, json_)


def _train(
    model: EmbeddingModel, data: TrainingSet, options: Options, out: Path, resume: bool, json_: bool
) -> None:
    from node.training.held_out import metric_of
    from node.training.train import train as train_model

    note(f"training on {counted(len(data), 'item')} of {data.modality}, log in {out / 'training.csv'}")
    with progress("training", options.epochs) as bar:
        done = train_model(model, data, options, out, resume=resume, on_epoch=lambda _: bar.step())
    metric = metric_of(options.mixture).value
    if json_:
        print_json(
            {
                "model": f"trained:{out}",
                "modality": data.modality,
                "items": len(data),
                "epochs": done.epochs_done,
                "best_epoch": done.best_epoch,
                "metric": metric,
                "held_out": done.best,
            }
        )
        return
    print_facts(
        {
            "model": f"trained:{out}",
            "epochs": f"{done.epochs_done}, the best was {done.best_epoch}",
            f"held out, {metric}": number(done.best),
            "next": f"deltamesh models check trained:{out}",
        }
    )


def _device(chosen: str) -> str:
    import torch

    if chosen not in ("auto", "cpu", "cuda"):
        raise CommandError(f"there is no device '{chosen}': use auto, cpu or cuda", ExitCode.USAGE)
    if chosen == "cuda" and not torch.cuda.is_available():
        raise CommandError("torch sees no CUDA device here: use --device cpu", ExitCode.BAD_INPUT)
    return "cuda" if chosen != "cpu" and torch.cuda.is_available() else "cpu"
