"""`deltamesh sim waves`: forgers in a simulated network of real encoders, with and without waves, probes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption
from node.cli.output import counted, note, number, print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.sim.waves.table import Row


def waves(
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="Of every network.")] = 32,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="The worst of so many.")] = 1,
    split: Annotated[
        str,
        typer.Option("--split", metavar="NAME", help="Texts: `tune`; `held-out` to publish."),
    ] = "tune",
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the captured weights as SVG here.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps the embeddings. [default: the user's cache]"),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Let a third of 12 real encoders forge in a simulated network, with and without waves and probes.

    The node's own machines, audits, scoring rule and epoch records over simulated links. A forger uses what
    its own process has received before each commit; without waves the dealer gives it all keys with the
    challenge, without probes records are made as if there had been none. Weight is what forgers hold
    together, over all rounds and over the last epoch, exposed the certified rounds until half of them are.
    The first run embeds for minutes.
    """
    if picture is not None and not picture.absolute().parent.is_dir():
        raise CommandError(
            f"the folder of {picture} does not exist: create it, or name another file", ExitCode.BAD_INPUT
        )
    import torch

    from node.bench.texts import split_by_name, split_texts
    from node.bench.views import default_cache_dir
    from node.bench.waves_picture import draw_waves
    from node.sim.observer import Violation
    from node.sim.waves.embeddings import Embeddings, encoder_names
    from node.sim.waves.run import Case, Run, run_case
    from node.sim.waves.table import all_cases, panels_of, rows_of
    from node.sim.waves.world import EPOCH_ROUNDS

    texts = split_texts(split_by_name(split))
    torch.set_num_threads(1)  # the same sums, hence the same figures, on every machine
    embeddings = Embeddings(encoder_names(), cache or default_cache_dir())
    runs: dict[Case, list[Run]] = {case: [] for case in all_cases()}
    with progress("simulating", seeds * len(runs) * rounds) as bar:
        # Seed by seed: all cases of a seed ask for the same views.
        for seed in range(seeds):
            for case, found in runs.items():
                try:
                    found.append(run_case(case, embeddings, texts, rounds, seed, bar.step))
                except Violation as broken:
                    note(f"seed {seed}, {case.attack}, {case.conditions}: {broken}")
                    raise typer.Exit(ExitCode.REFUSED) from None
    rows = rows_of(runs, EPOCH_ROUNDS)
    if json_:
        print_json(
            {
                "rounds": rounds,
                "seeds": seeds,
                "split": split,
                "encoders": list(embeddings.names),
                "rows": [row.document() for row in rows],
            }
        )
    else:
        _print(rows, rounds, seeds)
    if picture is not None:
        title = f"Weight that 4 forgers of 12 encoders hold, worst of {counted(seeds, 'seed')}"
        picture.write_text(draw_waves(panels_of(runs), title), encoding="utf-8")
        note(f"the picture is in {picture}")


def _print(rows: Sequence[Row], rounds: int, seeds: int) -> None:
    columns = [
        "attack",
        "seen",
        "records",
        "weight",
        "last",
        "honest",
        "exposed",
        "of them",
        "out from",
    ]
    cells = [
        [
            row.case.attack,
            row.case.order.value,
            row.case.probes.value,
            *map(number, (row.weight, row.weight_last, row.honest_score)),
            "never" if row.exposed_after is None else f"{row.exposed_after:g}",
            f"{row.exposed_share:.0%}",
            "never" if row.out_from is None else f"round {row.out_from}",
        ]
        for row in rows
    ]
    title = f"4 of 12 forge for {counted(rounds, 'round')}, worst of {counted(seeds, 'seed')}"
    print_table(title, columns, cells, right=frozenset(columns[3:]))
    note(f"honest encoders exposed: {sum(row.honest_exposed for row in rows)}")
