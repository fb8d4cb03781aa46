"""`deltamesh scores`: how the encoders did, with every term of the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    checked_key,
    existing_directory,
    reading_store,
    settings_of,
)
from node.cli.output import number, print_json, print_table, say, short_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from node.store import ScoreAverage, ScoreRecord

ROUNDS_SHOWN = 20

# The terms of a score in the order of the rule, by what a column has room for; others follow by name.
_TERM_COLUMNS = {
    "discrimination": "G",
    "availability": "available",
    "differential": "R",
    "differential_ramp": "gate R",
    "local_outlier_factor": "LOF",
    "local_outlier_factor_ramp": "gate LOF",
    "majority_similarity": "MS",
    "majority_similarity_ramp": "gate MS",
    "innovation": "IN",
    "innovation_ramp": "gate IN",
    "leak": "L",
    "leak_ramp": "gate L",
    "differential_literal": "literal",
    "mass": "mass",
}
_UNSHOWN_TERMS = frozenset({"live"})


def scores(
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="Over how many rounds.", min=1)
    ] = ROUNDS_SHOWN,
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="KEY", help="One encoder, by its first digits.")
    ] = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Print each encoder's average score and weight, its last score, and every term of it.

    G is the discrimination that is scored; R, LOF, MS, IN and L each have a gate from 0 (out) to 1 (in).
    Average at least 4 rounds before judging an encoder.
    """
    prefix = checked_key(encoder) if encoder is not None else ""
    directory = existing_directory(settings_of(home, network))
    with reading_store(directory) as store:
        rows = [] if store is None else store.scores(last)
        averages = [] if store is None else store.average_scores(last)
    latest: dict[bytes, ScoreRecord] = {}
    for row in rows:
        latest.setdefault(row.encoder, row)
    shown = [one for one in averages if one.encoder.hex().startswith(prefix)]
    if json_:
        print_json([_document(one, [row for row in rows if row.encoder == one.encoder]) for one in shown])
    elif shown:
        _print(shown, latest, last)
    elif averages:
        say(f"No scores of an encoder {short_key(prefix)}: `deltamesh scores` lists those that have some.")
    else:
        say("No scores yet: they appear with the first certified round.")


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
    names = {name for row in latest.values() for name in row.terms} - _UNSHOWN_TERMS
    terms = [name for name in _TERM_COLUMNS if name in names] + sorted(names - set(_TERM_COLUMNS))
    figures = ["score", "weight", "rounds", "last score", "last weight"]
    columns = ["encoder", *figures, *(_TERM_COLUMNS.get(name, name) for name in terms)]
    rows = []
    for average in averages:
        row = latest[average.encoder]
        means = [number(average.score), number(average.weight), f"{average.shards}"]
        lasts = [number(row.score), number(row.weight)]
        values = [number(row.terms.get(name)) for name in terms]
        rows.append([short_key(average.encoder), *means, *lasts, *values])
    title = f"Averages over the last {last} rounds; terms of the last one" if last > 1 else "The last round"
    print_table(title, columns, rows, right=frozenset(columns[1:]))
