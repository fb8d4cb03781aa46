"""What `deltamesh gallery query` asks, from its options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.errors import CommandError, ExitCode
from node.cli.gallery_opening import OpenedGallery
from node.cli.load_bar import load_bar
from node.cli.output import error_console, note

if TYPE_CHECKING:
    from node.gallery import Answer, LocalModel, Term
    from node.gallery.query import OnWork

TEXT = "text"


@dataclass(frozen=True, slots=True)
class Asking:
    """The options that say what is asked."""

    text: str | None
    item: str | None
    file: Path | None
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    k: int
    collection: str | None
    without_sources: tuple[str, ...]


def ask(
    opened: OpenedGallery,
    asking: Asking,
    model: str | None,
    space: str,
    distinct: float | None,
    *,
    with_probe: bool,
    exact: bool,
    quiet: bool,
) -> Answer:
    """The answer to a query. Raises what `node.gallery.query` raises, CommandError, EncoderError."""
    from node.gallery import Query, Selection, query
    from node.gallery.from_store import StoreSpaces

    gallery, node = opened.gallery, opened.node
    terms = _terms(opened, asking)
    asked = Query(
        terms=terms,
        k=asking.k,
        selection=Selection(collection=asking.collection, without_sources=asking.without_sources),
        space=space,
        with_probe=with_probe,
        distinct=distinct,
        exact=exact,
    )
    spaces = StoreSpaces(node.genesis, node.store) if node is not None and node.store is not None else None

    def load() -> LocalModel:
        return _loaded(opened, model)

    with _work_bar(quiet) as on_work:
        return query(gallery, asked, load=load, node=spaces, on_work=on_work)


def _terms(opened: OpenedGallery, asking: Asking) -> tuple[Term, ...]:
    from node.gallery import Term
    from node.gallery.probes import ITEM_PREFIX, split_terms

    terms: list[Term] = []
    if asking.text is not None:
        terms.append(Term(asking.text))
    if asking.item is not None:
        terms.append(Term(f"{ITEM_PREFIX}{asking.item}"))
    if asking.file is not None:
        terms += _of_file(opened, asking.file)
    terms += split_terms(opened.gallery, asking.plus, asking.minus)
    if not terms:
        raise CommandError(
            "say what to look for: a text, --item, --file, or --plus and --minus", ExitCode.USAGE
        )
    return tuple(terms)


def _of_file(opened: OpenedGallery, path: Path) -> list[Term]:
    """What a file holds, cut into items as `deltamesh submit` would cut it: the probe is their sum."""
    from node.gallery import Term
    from node.gallery.limits import TERMS_MAX
    from node.modalities import load_items

    modality = opened.gallery.facts().modality or TEXT
    items = load_items(modality, path.expanduser(), tell=note)
    found = [Term(item.decode() if modality == TEXT else item) for item in items]
    if not found:
        raise CommandError(f"{path} holds nothing to search by", ExitCode.BAD_INPUT)
    if len(found) > TERMS_MAX:
        note(f"{path} makes {len(found):,} items: the probe is the sum of the first {TERMS_MAX}.")
    return found[:TERMS_MAX]


def _loaded(opened: OpenedGallery, model: str | None) -> LocalModel:
    from node.encoders import load_encoder
    from node.encoders.built_in import REFERENCES, check_modality

    node, modality = opened.node, opened.gallery.facts().modality or TEXT
    check_modality(modality)
    reference = node.genesis.parameters.reference_encoder if node is not None else REFERENCES[modality]
    name = model or reference
    cache_dir = node.alignment if node is not None else None
    bar = load_bar(name)
    if bar is None:
        return load_encoder(name, reference, modality=modality, cache_dir=cache_dir)
    with bar as on_anchors:
        return load_encoder(name, reference, modality=modality, cache_dir=cache_dir, on_anchors=on_anchors)


@contextmanager
def _work_bar(quiet: bool) -> Iterator[OnWork | None]:
    """A bar while vectors are placed or indexed, gone when they are; nothing where nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress

    tasks: dict[str, Any] = {}
    with Progress(console=error_console(), transient=True) as bars:

        def on_work(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(f"{what} vectors", total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield on_work
