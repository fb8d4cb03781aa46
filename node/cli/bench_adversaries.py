"""`deltamesh bench adversaries`: what every known attack wins, by both rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.output import counted, note, number, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.bench.measure import Figures
    from node.bench.table import Case, Row

_COLUMNS = {
    "attacker_score": "attackers",
    "honest_score": "honest",
    "honest_score_alone": "alone",
    "weight_captured": "weight",
    "displacement": "moved",
    "displacement_shaped": "shaped",
    "false_alarms": "alarms",
}


def adversaries(
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="The worst of so many.")] = 5,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="One of the shard's encoders, at least 8; repeatable. [default: 30 of them]",
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option("--attack", metavar="NAME", help="Only this one; repeatable. [default: all]"),
    ] = None,
    split: Annotated[
        str,
        typer.Option("--split", metavar="NAME", help="Texts: `tune`; `held-out`, once frozen."),
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
    """Run every known attack against both rules and print what it wins.

    Scores are means; weight is what all attackers hold together; moved is how far they displace the consensus
    of the honest (1 - cosine), shaped the same after shaping; alarms is the share of the honest whose score
    falls to half or less. A run that was stopped goes on where it was. The first one takes minutes.
    """
    for file in (json_file, picture):
        if file is not None and not file.absolute().parent.is_dir():
            raise CommandError(
                f"the folder of {file} does not exist: create it, or name another file", ExitCode.BAD_INPUT
            )
    import torch

    from node.bench.picture import draw_table
    from node.bench.shards import default_settings, settings_of
    from node.bench.table import attack_names, cases_of, measured, worst_rows
    from node.bench.texts import split_by_name
    from node.bench.views import default_cache_dir

    texts = split_by_name(split)
    settings = settings_of(encoder) if encoder else default_settings()
    cases = cases_of(attack or attack_names(), settings, seeds)
    torch.set_num_threads(1)  # the same sums, hence the same figures, on every machine
    results = _followed(cases, measured(cases, texts, cache or default_cache_dir()))
    rows = worst_rows(results)
    _print(rows, seeds)
    if json_file is not None:
        _write(json_file, rows, split, seeds, settings[0].encoders)
    if picture is not None:
        title = f"Share of the consensus that attackers hold, worst of {seeds} seeds"
        picture.write_text(draw_table(rows, title), encoding="utf-8")
        note(f"the picture is in {picture}")


def _followed(
    cases: Sequence[Case], results: Iterator[tuple[Case, dict[str, Figures]]]
) -> list[tuple[Case, dict[str, Figures]]]:
    """All results, with a progress bar on standard error where somebody looks."""
    done = []
    with progress("measuring", len(cases)) as bar:
        for result in results:
            done.append(result)
            bar.step()
    return done


def _print(rows: Sequence[Row], seeds: int) -> None:
    """One table for each setting, the rules of an attack below each other."""
    for setting in dict.fromkeys(row.setting for row in rows):
        shown = [row for row in rows if row.setting == setting]
        cells = [
            [row.attack, row.rule, *(number(getattr(row.figures, name)) for name in _COLUMNS)]
            for row in shown
        ]
        title = f"{setting} attack, worst of {counted(seeds, 'seed')}"
        columns = ["attack", "rule", *_COLUMNS.values()]
        print_table(title, columns, cells, right=frozenset(columns[2:]))


def _write(file: Path, rows: Sequence[Row], split: str, seeds: int, encoders: Sequence[str]) -> None:
    document = {
        "split": split,
        "seeds": seeds,
        "encoders": list(encoders),
        "rows": [row.document() for row in rows],
    }
    file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    note(f"the rows are in {file}")
