"""`deltamesh bench quality`: whether scores rank encoders, and what the consensus gains by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import JsonOption
from node.cli.output import note, number, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.bench.quality_summary import Summary

SEEDS_DEFAULT = 5


def quality(
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", help="Draws of items.", min=1)
    ] = SEEDS_DEFAULT,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="tune, later, latest, held-out.")
    ] = "tune",
    network: Annotated[
        list[str] | None,
        typer.Option("--network", metavar="NAME", help="Only this network. Repeatable. [default: all]"),
    ] = None,
    aligned_on: Annotated[
        str,
        typer.Option(
            "--aligned-on", metavar="TEXTS", help="anchors, as a network starts, or its past items."
        ),
    ] = "past",
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps embeddings. [default: the user's cache]"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Draw the comparison there.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Rank real encoders by score and by a held-out task, and compare ways to make a consensus of them.

    The task: the first half of a text must find its second half among 512, by mean reciprocal rank. Encoders
    are aligned on past items, as in a network that has certified some. Scores are means over 4 shards.
    Compared are the plain mean, weights by S^8, cross-fitted weights and the best single encoder, shaped
    alike, in networks with and without a dominant encoder. All figures are means over draws, worst is the
    worst draw.
    """
    from node.bench.encoders import available_names
    from node.bench.networks import default_networks, networks_by_name
    from node.bench.quality_picture import quality_picture
    from node.bench.quality_run import run_quality
    from node.bench.realigned import aligned_on_by_name
    from node.bench.texts import split_by_name
    from node.bench.views import default_cache_dir

    chosen_split = split_by_name(split)
    texts = aligned_on_by_name(aligned_on)
    networks = default_networks(available_names())
    if network:
        networks = networks_by_name(network, networks)
    summaries = run_quality(networks, chosen_split, seeds, cache or default_cache_dir(), aligned_on=texts)
    if picture is not None:
        title = f"Retrieval by consensus, split {chosen_split.value}, {seeds} draws, aligned on {texts.value}"
        picture.write_text(quality_picture(summaries, title), encoding="utf-8")
        note(f"{picture} written.")
    if json_:
        print_json(
            {
                "split": chosen_split.value,
                "aligned_on": texts.value,
                "seeds": seeds,
                "networks": [one.document() for one in summaries],
            }
        )
    else:
        _print(summaries)


def _print(summaries: Sequence[Summary]) -> None:
    from node.bench.quality import CONSENSUS_NAMES

    largest = max(summaries, key=lambda one: len(one.encoders))
    rows = [
        [
            one.name,
            number(one.quality),
            number(one.quality_shaped),
            number(one.discrimination),
            *(number(score) for score in one.score.values()),
            number(one.weight),
        ]
        for one in largest.encoders
    ]
    columns = ["encoder", "quality", "shaped", "G", *(f"S {rule}" for rule in largest.correlation), "weight"]
    print_table(f"Encoders of `{largest.network}`", columns, rows, right=frozenset(columns[1:]))
    rules = list(largest.correlation)
    columns = ["network", "encoders", *(f"{rule}{end}" for rule in rules for end in ("", ", worst"))]
    rows = [
        [
            one.network,
            str(len(one.encoders)),
            *(number(some[rule]) for rule in rules for some in (one.correlation, one.correlation_worst)),
        ]
        for one in summaries
    ]
    print_table("Rank correlation of score and quality", columns, rows, right=frozenset(columns[1:]))
    columns = ["network", *CONSENSUS_NAMES.values(), "gain", "gain, worst"]
    rows = [
        [
            one.network,
            *(number(one.figures[name]) for name in CONSENSUS_NAMES),
            f"{one.gain:+.3f}",
            f"{one.gain_worst:+.3f}",
        ]
        for one in summaries
    ]
    print_table("Mean reciprocal rank by consensus", columns, rows, right=frozenset(columns[1:]))
    say("Gain: S^8, shaped, less best single, shaped.")
