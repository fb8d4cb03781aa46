"""Where reading commands read: the data directory of a node, or any validator's HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from node.cli.options import existing_directory, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from node.cli.dispute_view import DisputeDetail
    from node.cli.round_view import RoundDetail, RoundSummary
    from node.client import Client
    from node.store import ScoreRecord
    from protocol.epochs.view import Epoch
    from protocol.genesis import Genesis

FIRST_PAUSE_S = 0.1

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Ask this validator's HTTP API instead of the data directory, as http://127.0.0.1:7780.",
        show_default=False,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="For an API that wants one.", show_default=False),
]


class Source(Protocol):
    """What a node knows of its network. Methods raise CommandError, StoreError or ClientError."""

    def genesis(self) -> Genesis:
        """That of the network."""

    def rounds(self, last: int) -> Sequence[RoundSummary]:
        """The shards of the newest rounds, newest first."""

    def round(self, number: int) -> Sequence[RoundDetail]:
        """All shards of a round. Raises CommandError for one that is not known."""

    def disputes(self, number: int) -> Sequence[DisputeDetail]:
        """The disputes of a round, which may be there before anything else of it."""

    def scores(self, last: int) -> Sequence[ScoreRecord]:
        """Of the newest scored rounds, newest first."""

    def epochs(self, last: int) -> Sequence[Epoch]:
        """The newest epochs in order, some by their records alone."""

    def epoch(self, number: int) -> Epoch:
        """One epoch with its encoders. Raises CommandError for one that is not known or kept."""

    def export(self, number: int, shard: int, to: Path) -> int:
        """Write a certified report as a file; its size in bytes."""


@contextmanager
def opened_source(
    home: Path | None, network: str | None, url: str | None, token: str | None = None
) -> Iterator[Source]:
    """The API where one is named (--url, DELTAMESH_URL, `url`), else the data directory."""
    settings = settings_of(home, network, url=url, token=token)
    if settings.url:
        from node.cli.source_api import ApiSource

        with asking(settings.url, settings.token) as client:
            yield ApiSource(client)
    else:
        from node.cli.source_store import opened_store

        with opened_store(existing_directory(settings)) as source:
            yield source


def asking(
    url: str, token: str | None, network_id: bytes | None = None, genesis: Genesis | None = None
) -> Client:
    """A client for a command: who waits at a terminal is told soon that nobody answers."""
    from node.client import Client, Retrying

    return Client(
        url, token, network_id=network_id, genesis=genesis, retrying=Retrying(first_s=FIRST_PAUSE_S)
    )


def asked_url(settings: Settings) -> str:
    """Whose API a command asks that can ask nothing else: the one named, this node's own, or the default."""
    from config.datadir import DataDir
    from node.cli.output import now_ms
    from node.status import STATUS_FILE_NAME, Liveness, liveness, read_status

    if settings.url:
        return settings.url
    own = DataDir(settings.directory.expanduser().absolute())
    status = read_status(own.root / STATUS_FILE_NAME)
    if status is not None and status.api and liveness(status, now_ms()) is not Liveness.STOPPED:
        return f"http://{status.api}"
    return f"http://{settings.api}"
