"""What a node takes of its machine: asked of the system, or read from its page of metrics."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from config.datadir import DataDir
from node.cli.live.picture import Resources
from node.status import NodeStatus

if TYPE_CHECKING:
    from node.client import Client

_MEMORY: Final = ("process_resident_memory_bytes", "deltamesh_scoring_process_resident_memory_bytes")
_QUEUE: Final = 'deltamesh_queue_length{queue="items"}'


def of_directory(directory: DataDir) -> Callable[[NodeStatus | None], Resources]:
    """Of the node of a data directory, its child processes among its memory."""

    def look(status: NodeStatus | None) -> Resources:
        files = [directory.store, directory.store.with_name(f"{directory.store.name}-wal")]
        return Resources(
            memory_bytes=None if status is None else _memory_bytes(status.pid),
            disk_free_bytes=shutil.disk_usage(directory.root).free,
            store_bytes=sum(file.stat().st_size for file in files if file.exists()) or None,
            queue_items=None,
        )

    return look


def of_api(client: Client) -> Callable[[NodeStatus | None], Resources]:
    """Of the node asked, by its metrics; nothing where it does not give them to everybody."""
    from node.client import ClientError

    def look(_: NodeStatus | None) -> Resources:
        try:
            found = samples(client.metrics())
        except ClientError:
            return Resources()
        memory = [found[name] for name in _MEMORY if name in found]
        return Resources(
            memory_bytes=_whole(sum(memory)) if memory else None,
            disk_free_bytes=_whole(found.get("deltamesh_disk_free_bytes")),
            store_bytes=_whole(found.get("deltamesh_store_bytes")),
            queue_items=_whole(found.get(_QUEUE)),
        )

    return look


def samples(page: bytes) -> dict[str, float]:
    """Sample (with its labels) -> value, of a page in the text format of Prometheus."""
    found: dict[str, float] = {}
    for line in page.decode(errors="replace").splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.rpartition(" ")
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value < 1 << 63 else None


def _memory_bytes(pid: int) -> int | None:
    import psutil

    try:
        node = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (node, *node.children(recursive=True)))
    except psutil.Error:
        return None
