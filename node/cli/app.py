"""The application: its commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from node.cli import (
    bench,
    completion,
    config,
    doctor,
    embed,
    embeddings,
    encoder,
    epochs,
    gallery,
    genesis,
    init,
    keys,
    leave,
    logs,
    models,
    peers,
    plan,
    rounds,
    run,
    scores,
    sim,
    stake,
    status,
    submit,
    testnet,
    token,
    top,
    verify,
    version,
)
from node.cli.errors import EXIT_CODE_LINES, ExitCode, explain
from node.cli.output import note_error
from node.cli.value_names import name_values

_EPILOG = "Exit codes: " + ", ".join(f"{code.value} {line}" for code, line in EXIT_CODE_LINES.items()) + "."


# Wrong usage (the base of BadParameter), a closed pipe and a wish to leave.
_FOR_THE_FRAMEWORK = (typer.Exit, typer.Abort, BrokenPipeError, *typer.BadParameter.__bases__)


_HEADINGS = {
    "Begin": ("testnet", "init", "genesis", "keys"),
    "Run a node": (
        *("run", "doctor", "status", "top", "logs", "peers", "config", "token"),
        *("stake", "leave"),
    ),
    "Use a network": (
        *("embed", "submit", "rounds", "scores", "epochs", "verify"),
        *("embeddings", "gallery"),
    ),
    "Encoders' models": ("models", "encoder"),
    "Study the protocol": ("plan", "sim", "bench"),
    "This program": ("completion", "version"),
}
"""Where `--help` lists which command; a new one needs its place here."""


class _Group(TyperGroup):
    """The top of the command tree: what escapes a command ends here."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        name_values(self)
        for heading, names in _HEADINGS.items():
            for name in names:
                self.commands[name].rich_help_panel = heading  # type: ignore[attr-defined]

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the headings."""
        return [name for names in _HEADINGS.values() for name in names]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a known error is one sentence on standard error and its exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, _FOR_THE_FRAMEWORK) or ctx.params.get("debug"):
                raise
            sentence, code = explain(error)
            note_error(sentence)
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=_Group,
    name="deltamesh",
    help="A peer-to-peer network whose embeddings you can check instead of trust.\n\n"
    "`deltamesh testnet up --rounds 3` shows one at work, on this machine alone; `deltamesh doctor` says "
    "what is wrong with a node.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # The default takes what help says in brackets, such as a default, for markup and leaves it out.
    rich_markup_mode="markdown",
)


@app.callback()
def _top(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", show_default=False)
    ] = False,
) -> None:
    """Nothing happens before the command; `debug` is read where errors end."""


app.command("init")(init.init)
app.add_typer(genesis.app, name="genesis")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.add_typer(run.app, name="run")
app.command("leave")(leave.leave)
app.add_typer(stake.app, name="stake")
app.command("submit")(submit.submit)
app.command("embed")(embed.embed)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("top")(top.top)
app.add_typer(peers.app, name="peers")
app.add_typer(rounds.app, name="rounds")
app.command("scores")(scores.scores)
app.add_typer(epochs.app, name="epochs")
app.add_typer(embeddings.app, name="embeddings")
app.add_typer(gallery.app, name="gallery")
app.command("verify")(verify.verify)
app.add_typer(token.app, name="token")
app.add_typer(testnet.app, name="testnet")
app.add_typer(plan.app, name="plan")
app.add_typer(sim.app, name="sim")
app.add_typer(bench.app, name="bench")
app.add_typer(models.app, name="models")
app.add_typer(encoder.app, name="encoder")
app.command("completion")(completion.completion)
app.command("version")(version.version)


def main() -> None:
    """The entry point `deltamesh`."""
    if completion.VARIABLE in os.environ:
        # The framework does so itself only where it also adds options of its own.
        from typer._completion_classes import completion_init

        completion_init()
    try:
        app(prog_name="deltamesh")
    except SystemExit as ended:
        if _could_write_all():
            raise
        raise SystemExit(ended.code or int(ExitCode.STORAGE)) from None
    finally:
        # Nothing is left to stop in order: another Ctrl-C must not end in a trace of Python's last steps.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _could_write_all() -> bool:
    """Whether nothing is lost of the output; who reads no further loses nothing.

    What is left must not be tried again when Python ends: that has an exit code and a trace of its own.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return isinstance(error, BrokenPipeError)
    return True
