"""`deltamesh run`: start a node and stay until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.load_bar import load_bar
from node.cli.options import (
    AnnounceOption,
    ApiAccessOption,
    ApiOption,
    BootstrapOption,
    DataOption,
    HomeOption,
    ListenOption,
    NetworkOption,
    existing_directory,
    insist_on_genesis,
    settings_of,
)

app = typer.Typer(help="Start a node; Ctrl-C stops it.", no_args_is_help=True)

DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu or cuda.", metavar="DEVICE", show_default=False)
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="Threads of the numeric work.", show_default=False)
]
LogLevelOption = Annotated[
    str | None, typer.Option("--log-level", help="debug, info, warning or error.", metavar="LEVEL")
]
LogFormatOption = Annotated[
    str | None, typer.Option("--log-format", help="auto, console or json.", metavar="FORMAT")
]


@app.command("validator")
def validator(
    home: HomeOption = None,
    network: NetworkOption = None,
    listen: ListenOption = None,
    announce: AnnounceOption = None,
    bootstrap: BootstrapOption = None,
    data: DataOption = None,
    api: ApiOption = None,
    api_access: ApiAccessOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Deal challenges, score the answers, attest the reports of others."""
    from node.run import run_validator

    settings = settings_of(
        home,
        network,
        listen=listen,
        announce=announce,
        bootstrap=bootstrap,
        data=data,
        api=api,
        api_access=api_access,
        device=device,
        threads=threads,
        log_level=log_level,
        log_format=log_format,
    )
    insist_on_genesis(existing_directory(settings))
    run_validator(settings)


@app.command("encoder")
def encoder(
    home: HomeOption = None,
    network: NetworkOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A built-in model by name, or where yours is: `deltamesh models list`.",
        ),
    ] = None,
    learn: Annotated[
        bool | None,
        typer.Option(
            "--learn/--no-learn",
            help="Learn from the consensus between rounds; for models of `encoder train`.",
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(
            "--align",
            metavar="TARGET",
            help="reference, or consensus: refit the model each epoch to what the network certifies.",
        ),
    ] = None,
    cheat: Annotated[
        str | None,
        typer.Option("--cheat", metavar="NAME", help="Misbehave in this way. For test networks only."),
    ] = None,
    listen: ListenOption = None,
    announce: AnnounceOption = None,
    bootstrap: BootstrapOption = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT|off",
            help="Where Prometheus can ask this encoder.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Embed the views that validators deal."""
    from node.run import run_encoder

    settings = settings_of(
        home,
        network,
        model=model,
        align=align,
        learn=learn,
        listen=listen,
        announce=announce,
        bootstrap=bootstrap,
        metrics=metrics,
        device=device,
        threads=threads,
        log_level=log_level,
        log_format=log_format,
    )
    insist_on_genesis(existing_directory(settings))
    run_encoder(settings, cheat, loading=load_bar(settings.model))
