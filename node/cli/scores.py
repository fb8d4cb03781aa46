"""`deltamesh scores`: how the encoders did, with every term of the rule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import HomeOption, JsonOption, NetworkOption, checked_key
from node.cli.output import number, print_json, print_table, say, short_key
from node.cli.sources import TokenOption, UrlOption, opened_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from node.store import ScoreAverage, ScoreRecord

ROUNDS_SHOWN = 20

# Columns of the table of terms, in the order of the rule. The gate of a term is its `_ramp`.
_TERM_COLUMNS = {
    "discrimination": "G",
    "availability": "avail",
    "differential": "R",
    "local_outlier_factor": "LOF",
    "majority_similarity": "MS",
    "innovation": "IN",
    "leak": "L",
}
_GATE = "_ramp"
_WITH_AVERAGES = {"mass": "mass", "differential_literal": "literal"}


def scores(
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="Over how many rounds.", min=1)
    ] = ROUNDS_SHOWN,
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="KEY", help="One encoder, by its first digits.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words what each encoder's last score came from.")
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Print each encoder's average score and weight, its last score, and every term of it.

    G is the discrimination that is scored; R, LOF, MS, IN and L each have a gate from 0 (out) to 1 (in).
    Average at least 4 rounds before judging an encoder.
    """
    prefix = checked_key(encoder) if encoder is not None else ""
    with opened_source(home, network, url, token) as source:
        rows = source.scores(last)
        rule = source.genesis().parameters.rule if explain and rows else ""
    averages = _averages(rows)
    latest: dict[bytes, ScoreRecord] = {}
    for row in rows:
        latest.setdefault(row.encoder, row)
    shown = [one for one in averages if one.encoder.hex().startswith(prefix)]
    if json_:
        print_json([_document(one, [row for row in rows if row.encoder == one.encoder]) for one in shown])
    elif shown and explain:
        _explain([latest[one.encoder] for one in shown], rule)
    elif shown:
        _print(shown, latest, last)
    elif averages:
        say(f"No scores of an encoder {short_key(prefix)}: `deltamesh scores` lists those that have some.")
    else:
        say("No scores yet: they appear with the first certified round.")


def _averages(rows: Sequence[ScoreRecord]) -> list[ScoreAverage]:
    """Each encoder's plain means over the shards it was scored in, best first."""
    from node.store import ScoreAverage

    by_encoder: dict[bytes, list[ScoreRecord]] = {}
    for row in rows:
        by_encoder.setdefault(row.encoder, []).append(row)
    found = [
        ScoreAverage(
            key,
            math.fsum(row.score for row in own) / len(own),
            math.fsum(row.weight for row in own) / len(own),
            len(own),
        )
        for key, own in by_encoder.items()
    ]
    return sorted(found, key=lambda one: (-one.score, one.encoder))


def _document(average: ScoreAverage, rows: Sequence[ScoreRecord]) -> dict[str, object]:
    return {
        "encoder": average.encoder,
        "score": average.score,
        "weight": average.weight,
        "shards": average.shards,
        "rounds": [
            {
                "round": row.round,
                "shard": row.shard,
                "score": row.score,
                "weight": row.weight,
                "terms": dict(row.terms),
            }
            for row in rows
        ],
    }


def _print(averages: Sequence[ScoreAverage], latest: Mapping[bytes, ScoreRecord], last: int) -> None:
    columns = ["encoder", "score", "weight", "shards", "last score", "last weight", *_WITH_AVERAGES.values()]
    rows = []
    for average in averages:
        row = latest[average.encoder]
        means = [number(average.score), number(average.weight), f"{average.shards}"]
        extra = [number(row.terms.get(name)) for name in _WITH_AVERAGES]
        rows.append([short_key(average.encoder), *means, number(row.score), number(row.weight), *extra])
    title = f"Averages over the last {last} rounds" if last > 1 else "The last round"
    print_table(title, columns, rows, right=frozenset(columns[1:]))
    terms = [[short_key(one.encoder), *_term_cells(latest[one.encoder])] for one in averages]
    columns = ["encoder", *_TERM_COLUMNS.values()]
    print_table("Terms of the last score, value*gate", columns, terms, right=frozenset(columns[1:]))


def _explain(rows: Sequence[ScoreRecord], rule: str) -> None:
    # Takes a second: it brings torch.
    from scoring import ScoringError, explain, rule_by_name

    for row in rows:
        where = f"round {row.round}, shard {row.shard}"
        say(f"Encoder {short_key(row.encoder)}, {where}, weight {number(row.weight)}:")
        try:
            say(str(explain(row.terms, rule_by_name(rule))))
        except ScoringError as error:
            say(f"  no explanation: {error}")


def _term_cells(row: ScoreRecord) -> list[str]:
    """`0.31*1.00` for a term with a gate."""
    cells = []
    for name in _TERM_COLUMNS:
        value, gate = row.terms.get(name), row.terms.get(name + _GATE)
        figure = "-" if value is None or math.isnan(value) else f"{value:.2f}"
        cells.append(figure if gate is None or math.isnan(gate) else f"{figure}*{gate:.2f}")
    return cells
