"""Logs: structlog, for people on a terminal and as JSON in a rotating file of the data directory."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog

FILE_NAME = "node.log"
FILE_BYTES_MAX = 16 << 20
FILES_KEPT = 4


def set_up_logging(directory: Path, level: str, format_: str) -> None:
    """Log to standard error in `format_` (console, json) and to `<directory>/node.log` as JSON.

    Values from peers are escaped by both renderers: a log line is one line.
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
    json_renderer = structlog.processors.JSONRenderer()
    console: structlog.typing.Processor = (
        json_renderer if format_ == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    file = logging.handlers.RotatingFileHandler(
        directory / FILE_NAME, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8"
    )
    root = logging.getLogger()
    root.handlers.clear()
    for handler, renderer in ((file, json_renderer), (logging.StreamHandler(sys.stderr), console)):
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    renderer,
                ],
            )
        )
        root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries
    logging.getLogger("node").setLevel(level.upper())
    # libp2p reports every peer that hangs up as an error of its own; ours tells what matters of it.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
