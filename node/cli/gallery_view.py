"""How galleries and answers are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from node.cli.output import counted, note, print_facts, print_table, say, short_key
from node.gallery import Answer, Gallery, Method, StoredItem

PREVIEW_SHOWN: Final = 90
ID_DIGITS: Final = 12


def print_answer(answer: Answer) -> None:
    """The neighbours as a table, and below it what has to be known to read it."""
    if not answer.neighbours:
        say("Nothing is left to search once the probe itself is left out.")
        return
    rows = [
        [
            f"{one.score:.4f}",
            _shown(one.item.preview),
            one.item.item_id.hex()[:ID_DIGITS],
            f"{one.item.round}",
            _source(one.item),
            ", ".join(one.collections),
        ]
        for one in answer.neighbours
    ]
    columns = ["cosine", "item", "id", "round", "from", "collection"]
    print_table(_title(answer), columns, rows, right=frozenset({"cosine", "round"}))
    how = f"{counted(answer.searched, 'item')} searched exactly"
    if answer.method is Method.INDEX:
        how = f"{counted(answer.searched, 'item')} searched by an index that recalls {answer.recall:.1%}"
    say(f"Space {answer.space}; {how}.")
    for name in answer.probe.models:
        texts = [_shown(term.text) for term in answer.probe.terms if term.model == name]
        shown = ", ".join(f"'{text}'" for text in texts[:3]) + (" and others" if len(texts) > 3 else "")
        verb = "was" if len(texts) == 1 else "were"
        note(f"Not a consensus embedding: {shown} {verb} embedded here by {name}.")


def gallery_document(gallery: Gallery) -> Mapping[str, Any]:
    """What is in a gallery, for JSON."""
    facts = gallery.facts()
    return {
        "gallery": str(gallery.path),
        "network_id": facts.network_id,
        "modality": facts.modality,
        "collections": [
            {
                "name": one.name,
                "items": one.items,
                "items_max": one.items_max,
                "source_items_max": one.source_items_max,
                "sources": one.sources,
                "largest_source": one.largest_source,
                "largest_source_items": one.largest_source_items,
            }
            for one in gallery.collections()
        ],
        "spaces": gallery.spaces(),
    }


def item_document(item: StoredItem) -> Mapping[str, Any]:
    """One item, for JSON."""
    return {
        "item_id": item.item_id,
        "preview": item.preview,
        "round": item.round,
        "shard": item.shard,
        "epoch": item.epoch,
        "space": "raw" if item.space is None else f"epoch {item.space}",
        "source": item.source,
        "origin": item.origin.value,
    }


def print_gallery(gallery: Gallery) -> None:
    """Collections, and what spaces are known."""
    facts = gallery.facts()
    rows = [
        [
            one.name,
            f"{one.items:,}",
            f"{one.items_max:,}",
            f"{one.sources:,}",
            "-"
            if one.largest_source is None
            else f"{_name(one.largest_source)} ({one.largest_source_items:,})",
            f"{one.source_items_max:,}",
        ]
        for one in gallery.collections()
    ]
    columns = ["collection", "items", "quota", "sources", "largest", "quota of each"]
    print_table(
        str(gallery.path), columns, rows, right=frozenset({"items", "quota", "sources", "quota of each"})
    )
    spaces = ", ".join(f"epoch {epoch}" for epoch in gallery.spaces())
    network = facts.network_id.hex() if facts.network_id is not None else "none yet"
    print_facts({"network": network, "modality": facts.modality or "-", "spaces": spaces or "none but raw"})


def print_items(items: Sequence[StoredItem]) -> None:
    """Items as a table."""
    rows = [
        [one.item_id.hex()[:ID_DIGITS], _shown(one.preview), f"{one.round}", _source(one), one.origin.value]
        for one in items
    ]
    print_table(
        counted(len(items), "item"),
        ["id", "item", "round", "from", "origin"],
        rows,
        right=frozenset({"round"}),
    )


def _title(answer: Answer) -> str:
    parts = [("- " if term.sign < 0 else "+ ") + _shown(term.text) for term in answer.probe.terms]
    return "Nearest to " + " ".join(parts).removeprefix("+ ")


def _shown(text: str) -> str:
    return text if len(text) <= PREVIEW_SHOWN else f"{text[: PREVIEW_SHOWN - 1]}…"


def _source(item: StoredItem) -> str:
    return _name(item.source) + ("" if item.origin.certified else " (unverified)")


def _name(source: str) -> str:
    """A key by its first digits, anything else as it is."""
    return short_key(source) if len(source) == 64 else source[:24]
