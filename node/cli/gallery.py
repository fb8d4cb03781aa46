"""`deltamesh gallery`: published consensus embeddings, kept to be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption
from node.cli.output import counted, note, print_json, say

app = typer.Typer(help="Search the published consensus embeddings.", no_args_is_help=True)

GalleryOption = Annotated[
    Path | None,
    typer.Option(
        "--gallery", metavar="FILE", help="The gallery. [default: in the data directory]", show_default=False
    ),
]
FromRoundOption = Annotated[
    int | None, typer.Option("--from-round", metavar="N", help="Leave out rounds before.", min=0)
]
ToRoundOption = Annotated[
    int | None, typer.Option("--to-round", metavar="N", help="Leave out this round and later ones.", min=0)
]


@app.command("add")
def add(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Reports (.dmr), exports (.parquet, .jsonl). Without one: what this node knows certified.",
            show_default=False,
        ),
    ] = None,
    collection: Annotated[
        str, typer.Option("--collection", metavar="NAME", help="Where to put it; made if it is not there.")
    ] = "all",
    from_round: FromRoundOption = None,
    to_round: ToRoundOption = None,
    network_id: Annotated[
        str | None,
        typer.Option("--network-id", metavar="HEX", help="The network you trust: reports are checked by it."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="Who brought the rows of exports. [default: the file]",
            show_default=False,
        ),
    ] = None,
    items_max: Annotated[
        int | None, typer.Option("--items-max", metavar="N", help="Quota of the collection.", min=1)
    ] = None,
    source_items_max: Annotated[
        int | None,
        typer.Option("--source-items-max", metavar="N", help="Quota of each source in it.", min=1),
    ] = None,
    gallery: GalleryOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Put consensus embeddings into a gallery: of this node, of reports, or of exports.

    Reports are verified first, as `deltamesh verify` does; exports are taken at their word. An item is kept
    once, in as many collections as it was added to, with its certified raw vector. A dealer or file that
    fills a collection meets its quota. Run again after an interruption it goes on where it stopped.
    """
    from node.cli.gallery_adding import Adding, add_all
    from node.cli.gallery_opening import make_gallery, trusted_network

    trusted = trusted_network(network_id)
    if files and (from_round is not None or to_round is not None):
        raise CommandError(
            "rounds are chosen of this node's own: leave out the files, or the rounds", ExitCode.USAGE
        )
    with make_gallery(gallery, home, network) as opened:
        opened.gallery.make_collection(collection, items_max=items_max, source_items_max=source_items_max)
        added = add_all(
            opened,
            Adding(collection, tuple(files or ()), from_round or 0, to_round, trusted, source),
            quiet=json_,
        )
        count = sum(one.items for one in opened.gallery.collections() if one.name == collection)
        path = opened.gallery.path
    if json_:
        print_json({"gallery": str(path), "collection": collection, "items": count, **added.document()})
        return
    parts = [f"{added.new:,} new", f"{added.known + added.joined:,} known"]
    parts += [f"{added.replaced:,} with a newer vector"] if added.replaced else []
    say(f"{', '.join(parts)}; {collection} in {path} has {counted(count, 'item')}.")
    if added.unusable:
        note(f"{counted(added.unusable, 'vector')} left out: not finite, without direction, or too long.")
    for name, left_out in sorted(added.over_quota.items()):
        note(
            f"{counted(left_out, 'item')} of {name[:24]} left out: the quota is reached; raise it with "
            "--items-max or "
            "--source-items-max and run this again."
        )


@app.command("query")
def query(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="An item's text, or any other.", show_default=False)
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="Or an item, by the first digits of its id.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Or what is in a file.", show_default=False)
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option("--plus", metavar="A,B", help="Words or texts to add up, or id:ID. Repeatable."),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", metavar="C", help="Words or texts to take away. Repeatable."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", metavar="N", help="How many neighbours.", min=1, max=1_000)
    ] = 10,
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="NAME", help="Search only this one.")
    ] = None,
    without_source: Annotated[
        list[str] | None,
        typer.Option(
            "--without-source", metavar="SOURCE", help="Pass over what this one brought. Repeatable."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Embeds a text that is no item. [default: the network's reference]",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="SPACE",
            help="newest: shaped by the newest transform known; N: by that of epoch N; raw: as certified.",
        ),
    ] = "newest",
    distinct: Annotated[
        float | None,
        typer.Option(
            "--distinct", metavar="X", help="Leave out what is this near a better answer.", min=0, max=1
        ),
    ] = None,
    with_probe: Annotated[
        bool, typer.Option("--with-probe", help="The probe itself may be an answer.", show_default=False)
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Use no index, however large the gallery.", show_default=False)
    ] = False,
    gallery: GalleryOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Print the items nearest to a probe, by cosine.

    An item of the gallery is looked up; any other text is embedded here by a model, and its vector is not a
    consensus one. --plus king,woman --minus man adds and takes away unit vectors; what the probe is made of
    is not among the answers. All vectors are brought into one space, which the answer names.
    """
    from node.cli.gallery_asking import Asking, ask
    from node.cli.gallery_opening import open_gallery
    from node.cli.gallery_view import print_answer

    asking = Asking(
        text, item, file, tuple(plus or ()), tuple(minus or ()), k, collection, tuple(without_source or ())
    )
    with open_gallery(gallery, home, network) as opened:
        answer = ask(opened, asking, model, space, distinct, with_probe=with_probe, exact=exact, quiet=json_)
    if json_:
        print_json(answer.document())
    else:
        print_answer(answer)


@app.command("list")
def list_(
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="NAME", help="Print the items of this one.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="How many items.", min=1, max=100_000)
    ] = 20,
    after: Annotated[
        str, typer.Option("--after", metavar="ID", help="Items after this id.", show_default=False)
    ] = "",
    gallery: GalleryOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Print what is in a gallery: collections, quotas, who brought most, spaces; or a collection's items."""
    from node.cli.gallery_opening import open_gallery
    from node.cli.gallery_view import gallery_document, item_document, print_gallery, print_items
    from node.gallery import Selection

    with open_gallery(gallery, home, network) as opened:
        if collection is None:
            document = gallery_document(opened.gallery)
            if json_:
                print_json(document)
            else:
                print_gallery(opened.gallery)
            return
        if not set(after) <= set("0123456789abcdef") or len(after) > 64:
            raise CommandError(f"'{after[:80]}' is no item id: it has hexadecimal digits", ExitCode.USAGE)
        first = bytes.fromhex(after.ljust(64, "0")) if after else b""
        items = opened.gallery.items_of(Selection(collection=collection), limit, first)
    if json_:
        print_json([item_document(one) for one in items])
    else:
        print_items(items)


@app.command("remove")
def remove(
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="NAME", help="Only from this one.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="What this dealer or file brought.")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="One item, by the first digits of its id.")
    ] = None,
    from_round: FromRoundOption = None,
    to_round: ToRoundOption = None,
    gallery: GalleryOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Take items out of a gallery: those for which all holds that is said; a whole collection by its name.

    What is removed can be added again. Delete the gallery's file, and the folder beside it, to remove all.
    """
    from node.cli.gallery_opening import open_gallery
    from node.gallery import Selection
    from node.gallery.probes import item_by_id

    if all(one is None for one in (collection, source, item, from_round, to_round)):
        raise CommandError(
            "say what to remove: --collection, --source, --item, --from-round or --to-round", ExitCode.USAGE
        )
    with open_gallery(gallery, home, network) as opened:
        item_id = item_by_id(opened.gallery, item).item_id if item is not None else None
        selection = Selection(
            collection=collection, source=source, item_id=item_id, from_round=from_round, to_round=to_round
        )
        if collection is not None and selection == Selection(collection=collection):
            count = opened.gallery.drop_collection(collection)
        else:
            count = opened.gallery.remove(selection)
    if json_:
        print_json({"removed": count})
    else:
        say(f"Removed {counted(count, 'item')}{'' if collection is None else f' from {collection}'}.")
