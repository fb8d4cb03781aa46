"""Logs: structlog, for people on a terminal and as JSON in a rotating file of the data directory."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog

from node.terminal_text import escaped

FILE_NAME = "node.log"
FILE_BYTES_MAX = 16 << 20
FILES_KEPT = 4


def _plain(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Values as text without control characters; the lines of a traceback set off from those of the log."""
    for key, value in event.items():
        if key in ("exception", "stack"):
            event[key] = "\n".join(f"    {escaped(line)}" for line in str(value).split("\n"))
        elif not isinstance(value, int | float | None):
            event[key] = escaped(value if isinstance(value, str) else repr(value))
    return event


def set_up_logging(directory: Path, level: str, format_: str, *, rotates: bool = True) -> None:
    """Log to standard error in `format_` (auto, console, json) and to `<directory>/node.log` as JSON.

    `auto` is for people where standard error is a terminal, and JSON elsewhere.

    A log line is one line, whatever peers put into its values. A process beside the node does not rotate the
    file: it goes on in the new one when the node has.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    as_json: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    # The traceback is text by then: formatting it again would only earn a warning.
    to_read = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    path = directory / FILE_NAME
    file: logging.Handler = (
        logging.handlers.RotatingFileHandler(
            path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8"
        )
        if rotates
        else logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    )
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for_people = format_ == "console" or (format_ == "auto" and sys.stderr.isatty())
    terminal = (logging.StreamHandler(sys.stderr), [_plain, to_read] if for_people else as_json)
    for handler, renderers in ((file, as_json), terminal):
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    *renderers,
                ],
            )
        )
        root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries
    logging.getLogger("node").setLevel(level.upper())
    # libp2p reports every peer that hangs up as an error of its own; ours tells what matters of it.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
