"""`deltamesh bench waves`: what forgers win with and without the order of the waves and the probes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.output import counted, note, number, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.bench.accusations import Accusations
    from node.bench.waves_run import Row


def waves(
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="The worst of so many.")] = 2,
    split: Annotated[
        str,
        typer.Option("--split", metavar="NAME", help="Texts: `tune`; `held-out` to publish."),
    ] = "tune",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows here as JSON.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the captured weights as SVG here.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps what was computed. [default: the user's cache]"),
    ] = None,
) -> None:
    """Let a third of 30 real encoders forge and leak, with and without the three waves and the probes.

    Weight is what the forgers hold together, moved how far they displace the shaped consensus (1 - cosine),
    exposed the rounds until half of them are, and whoever is exposed is out from the next round on. Below:
    what the test says of honest encoders. The first run takes minutes.
    """
    for file in (json_file, picture):
        if file is not None and not file.absolute().parent.is_dir():
            raise CommandError(
                f"the folder of {file} does not exist: create it, or name another file", ExitCode.BAD_INPUT
            )
    import torch

    from node.bench.accusations import accusations
    from node.bench.shards import default_settings
    from node.bench.texts import split_by_name
    from node.bench.views import default_cache_dir
    from node.bench.waves_picture import draw_waves
    from node.bench.waves_run import Case, Outcome, cases, outcomes, panels_of, rows_of

    texts, folder = split_by_name(split), cache or default_cache_dir()
    torch.set_num_threads(1)  # the same sums, hence the same figures, on every machine
    setting = default_settings()[1]
    results: dict[Case, list[Outcome]] = {case: [] for case in cases()}
    with progress("forging", seeds * len(results)) as bar:
        for seed in range(seeds):
            for case, outcome in outcomes(setting, texts, seed, folder):
                results[case].append(outcome)
                bar.step()
    rows = rows_of(results)
    honest = accusations(setting.encoders, texts, seeds, folder)
    _print(rows, honest, setting.name, seeds)
    if json_file is not None:
        document = {
            "split": split,
            "seeds": seeds,
            "setting": setting.name,
            "rows": [row.document() for row in rows],
            "honest": [asdict(one) for one in honest],
        }
        json_file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        note(f"the rows are in {json_file}")
    if picture is not None:
        title = f"Weight that {setting.name} forgers hold, worst of {counted(seeds, 'seed')}"
        picture.write_text(draw_waves(panels_of(results), title), encoding="utf-8")
        note(f"the picture is in {picture}")


def _print(rows: Sequence[Row], honest: Sequence[Accusations], setting: str, seeds: int) -> None:
    columns = [
        "attack",
        "seen",
        "weight",
        "moved",
        "honest",
        "exposed",
        "of them",
        "weight'",
        "moved'",
        "last'",
    ]
    cells = [
        [
            row.case.name,
            row.case.order.value,
            *map(number, (row.weight, row.moved, row.honest_score)),
            "never" if row.exposed_after is None else f"{row.exposed_after:g}",
            f"{row.exposed_share:.0%}",
            *map(number, (row.weight_probed, row.moved_probed, row.weight_last)),
        ]
        for row in rows
    ]
    title = f"{setting} forge, worst of {counted(seeds, 'seed')}; ' is with probes"
    print_table(title, columns, cells, right=frozenset(columns[2:]))
    wrong = sum(row.honest_exposed for row in rows)
    note(f"honest encoders exposed in these rounds: {wrong}")
    columns = ["honest shards", "encoders", "exposed", "bent", "leaning", "highest"]
    lines = [
        [
            one.shards,
            str(one.encoders),
            str(one.exposed),
            *map(number, (one.bent_share_max, one.leaning_share_max, one.highest)),
        ]
        for one in honest
    ]
    print_table("Nobody forges", columns, lines, right=frozenset(columns[1:]))
