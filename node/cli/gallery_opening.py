"""Which gallery a command means, and the node beside it, where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import CommandError, ExitCode
from node.cli.options import existing_directory, genesis_of, reading_store, settings_of

if TYPE_CHECKING:
    from node.gallery import Gallery
    from node.store import Store
    from protocol.genesis import Genesis


@dataclass(frozen=True, slots=True)
class NodeBeside:
    """The node of the data directory: its network, and its store where it has run."""

    genesis: Genesis
    store: Store | None
    alignment: Path


@dataclass(frozen=True, slots=True)
class OpenedGallery:
    """A gallery and the node beside it; a node of another network than the gallery's is none."""

    gallery: Gallery
    node: NodeBeside | None


@contextmanager
def make_gallery(path: Path | None, home: Path | None, network: str | None) -> Iterator[OpenedGallery]:
    """Open a gallery to add to, made where it is not there yet. Raises CommandError, GalleryStorageError."""
    with _opened(path, home, network, create=True) as opened:
        yield opened


@contextmanager
def open_gallery(path: Path | None, home: Path | None, network: str | None) -> Iterator[OpenedGallery]:
    """Open a gallery that is there. Raises CommandError, GalleryStorageError."""
    with _opened(path, home, network, create=False) as opened:
        yield opened


def trusted_network(text: str | None) -> bytes | None:
    """A network id as an option has it. Raises CommandError."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise CommandError(
            f"'{text[:80]}' is no network id: it has 64 hexadecimal digits, as `deltamesh genesis show` "
            "prints",
            ExitCode.USAGE,
        )
    return bytes.fromhex(text)


@contextmanager
def _opened(
    path: Path | None, home: Path | None, network: str | None, *, create: bool
) -> Iterator[OpenedGallery]:
    from node.gallery import Gallery

    with ExitStack() as stack:
        node = stack.enter_context(_node_beside(path, home, network))
        if path is None:
            path = existing_directory(settings_of(home, network)).gallery
        gallery = stack.enter_context(Gallery.open(path, create=create))
        of = gallery.facts().network_id
        if node is not None and of is not None and of != node.genesis.network_id:
            node = None
        yield OpenedGallery(gallery, node)


@contextmanager
def _node_beside(path: Path | None, home: Path | None, network: str | None) -> Iterator[NodeBeside | None]:
    """A gallery of one's own needs no node: only without --gallery has there to be one."""
    from node.encoders.alignment_store import FOLDER_NAME

    settings = settings_of(home, network)
    if path is not None and not settings.directory.expanduser().is_dir():
        yield None
        return
    directory = existing_directory(settings)
    if not directory.genesis.exists():
        yield None
        return
    with reading_store(directory) as store:
        yield NodeBeside(genesis_of(directory), store, directory.root / FOLDER_NAME)
