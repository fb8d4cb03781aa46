"""What the endpoints need of the node: its facts to read, its queue to submit to, its events to hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from config.datadir import DataDir
from config.settings import Settings
from node.api.events import EventHub, Kind
from node.encoders.alignment_store import FOLDER_NAME
from node.epochs.history import ReadEpochs
from node.search_process import SearchProcess, SearchSetup
from node.status import NodeStatus
from node.store import Access, Store, StoreLimits
from node.store.database import connect
from node.store.items import Items
from protocol.genesis import Genesis


@dataclass(frozen=True)
class Service:
    """The node, as its HTTP API sees it. Everything may be used from any thread."""

    genesis: Genesis
    settings: Settings
    directory: DataDir
    store: Store
    """A connection of its own, to read: what the node writes is never waited for."""
    epochs: ReadEpochs
    queue: Items
    """The table of submitted items alone, to write."""
    events: EventHub
    status: Callable[[], NodeStatus | None]
    """The newest status, at most a second old while the node's loop runs; None before the first."""
    wake: Callable[[], None]
    """Tell the validator that items were submitted."""
    search: SearchProcess
    """Searches and maps what is certified; nothing runs until it is asked."""


@contextmanager
def open_service(
    genesis: Genesis,
    settings: Settings,
    directory: DataDir,
    events: EventHub,
    status: Callable[[], NodeStatus | None],
    wake: Callable[[], None],
) -> Iterator[Service]:
    """The service over a data directory whose store exists. Raises StoreError."""
    limits = StoreLimits()
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(directory.store, directory.blobs, access=Access.READ_ONLY))
        queue = stack.enter_context(
            Items(directory.store, connect(directory.store, Access.READ_WRITE, limits), limits)
        )
        epochs = ReadEpochs(genesis, store)
        search = stack.enter_context(SearchProcess(_search_setup(genesis, settings, directory)))
        events.hook(Kind.CERTIFIED, search.certified)
        yield Service(genesis, settings, directory, store, epochs, queue, events, status, wake, search)


def _search_setup(genesis: Genesis, settings: Settings, directory: DataDir) -> SearchSetup:
    return SearchSetup(
        store=str(directory.store),
        blobs=str(directory.blobs),
        gallery=str(directory.search),
        genesis=genesis.data,
        alignment=str(directory.root / FOLDER_NAME),
        items_max=settings.search_items_max,
    )


async def service_of(request: Request) -> Service:
    """The service of the app that got the request."""
    return cast(Service, request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]
