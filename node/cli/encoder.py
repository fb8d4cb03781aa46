"""`deltamesh encoder ...`: models of an encoder."""

from __future__ import annotations

import typer

from node.cli import encoder_align, encoder_eval, encoder_train

app = typer.Typer(help="Models of an encoder: align, train, evaluate.", no_args_is_help=True)
app.command("align")(encoder_align.align)
app.command("train")(encoder_train.train)
app.command("eval")(encoder_eval.evaluate)
