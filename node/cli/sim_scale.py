"""`deltamesh sim scale`: a large network on one machine, and what each of its nodes has to carry."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption
from node.cli.output import counted, note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from node.sim.scale.report import ScaleReport

_LOADS = ("part", "statements", "gossip", "", "streams", "", "machines, ms", "signatures, ms")


def scale(
    validators: Annotated[int, typer.Option("--validators", metavar="N", min=4, help="All attest.")] = 100,
    encoders: Annotated[
        int, typer.Option("--encoders", metavar="N", min=8, help="Opened when a shard needs them.")
    ] = 10_000,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="Of the largest network.")] = 20,
    shards: Annotated[
        int, typer.Option("--shards", metavar="N", min=1, help="Of each round, at every size.")
    ] = 4,
    shard_size: Annotated[
        int, typer.Option("--shard-size", metavar="N", min=3, help="Encoders of a shard, at every size.")
    ] = 16,
    degree: Annotated[
        int, typer.Option("--degree", metavar="N", min=2, help="Mesh peers of a node, for counting copies.")
    ] = 8,
    growth_rounds: Annotated[
        int,
        typer.Option("--growth-rounds", metavar="N", min=0, help="Of every smaller network; 0 for none."),
    ] = 3,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the growth as SVG here.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Count what a node sends, receives and computes in a round, and what that grows as.

    The node's own machines, rules and signatures; every validator lives, and of the encoders those that are
    drawn, and some that are not. Scores are the simulator's stand-in, vectors have 16 dimensions, blobs
    travel by digest. Each signature is made and checked once for all nodes; what it costs every one of them
    is counted and added. Gossip reaches everyone once, its copies are counted by the model of a mesh.
    """
    from node.sim.observer import Violation
    from node.sim.scale.growth import grow, sizes
    from node.sim.scale.report import ScaleReport
    from node.sim.scale.run import ScaleSize, measure

    if shards > validators:
        raise CommandError(
            "each shard of a round needs a dealer of its own: lower --shards", ExitCode.BAD_INPUT
        )
    if shard_size > encoders:
        raise CommandError(
            "a shard has no more encoders than there are: lower --shard-size", ExitCode.BAD_INPUT
        )
    if picture is not None and not growth_rounds:
        raise CommandError("the picture shows the growth: raise --growth-rounds", ExitCode.BAD_INPUT)
    if picture is not None and not picture.absolute().parent.is_dir():
        raise CommandError(
            f"the folder of {picture} does not exist: create it, or name another file", ExitCode.BAD_INPUT
        )
    size = ScaleSize(validators, encoders, rounds, shards=shards, shard_size=shard_size, degree=degree)
    series = sizes(size, growth_rounds) if growth_rounds else {}
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    try:
        every = [size, *(one for chosen in series.values() for one in chosen)]
        with progress("simulating", sum(one.validators * one.rounds for one in every)) as bar:
            largest = measure(size, bar.step)
            growths = tuple(grow(size, growth_rounds, bar.step)) if growth_rounds else ()
    except Violation as broken:
        raise CommandError(f"the network broke an invariant: {broken}", ExitCode.REFUSED) from None
    report = ScaleReport(
        largest,
        growths,
        time.monotonic() - began_s,
        time.process_time() - began_cpu_s,
        _memory_bytes_max(),
    )
    if json_:
        print_json(report.document())
    else:
        _print(report)
    if picture is not None:
        from node.sim.scale.picture import draw_growth

        subtitle = (
            f"{shards} shards a round of {shard_size} encoders; gossip in a mesh of degree {degree}; "
            "CPU without models and scoring rule; p: load ~ size^p, fitted"
        )
        picture.write_text(draw_growth("What a node carries in a round", subtitle, growths), encoding="utf-8")
        note(f"the picture is in {picture}")


def _memory_bytes_max() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _print(report: ScaleReport) -> None:
    size, point = report.largest.size, report.largest
    say(
        f"{counted(size.validators, 'validator')}, {counted(size.encoders, 'encoder')}, "
        f"{counted(size.rounds, 'round')} of {counted(size.shards, 'shard')}: {point.certified:,} of "
        f"{size.rounds * size.shards:,} shard-rounds certified on every validator; {point.opened:,} encoders "
        f"opened, {point.events:,} events, {point.elapsed_s:,.0f} s, {point.cpu_s:,.0f} s of CPU"
    )
    print_table("A node's mean round, in and out", _LOADS, report.load_rows(), right=frozenset(_LOADS[1:]))
    columns = ("part", "mesh", "", "hubs", "", "direct", "")
    print_table(
        "Gossip it sends, by how the network is wired",
        columns,
        report.wiring_rows(),
        right=frozenset(columns[1:]),
    )
    if report.growths:
        exponents = ("part", "along", "sizes", "messages", "bytes", "CPU")
        print_table(
            "Exponents: load ~ size^p", exponents, report.growth_rows(), right=frozenset(exponents[3:])
        )
    say(
        f"once an epoch every node makes its record: {point.epoch_ns / 1e6:,.0f} ms of CPU at "
        f"{counted(size.encoders, 'encoder')}"
    )
    say(
        f"all together {report.elapsed_s:,.0f} s, {report.cpu_s:,.0f} s of CPU, at most "
        f"{report.memory_bytes_max / 1e6:,.0f} MB of memory"
    )
