"""What a live view looks at: a data directory, or a validator's HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from config.settings import Settings
from node.cli.live import resources
from node.cli.live.gathering import Gathering
from node.cli.options import existing_directory
from node.cli.output import now_ms
from node.cli.sources import asking
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, liveness, read_status


@contextmanager
def opened_gathering(settings: Settings) -> Iterator[Gathering]:
    """Pictures of the node that the settings name. Raises CommandError, StoreError, ClientError."""
    if settings.url:
        from node.cli.source_api import ApiSource, status_of

        with asking(settings.url, settings.token) as client:
            yield Gathering(
                ApiSource(client), lambda: (status_of(client), Liveness.RUNNING), resources.of_api(client)
            )
        return
    from node.cli.source_store import opened_store

    directory = existing_directory(settings)

    def status() -> tuple[NodeStatus | None, Liveness]:
        found = read_status(directory.root / STATUS_FILE_NAME)
        return found, Liveness.STOPPED if found is None else liveness(found, now_ms())

    with opened_store(directory) as source:
        yield Gathering(source, status, resources.of_directory(directory))
