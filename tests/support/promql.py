"""A tokenizer of PromQL that finds what a query asks for: metrics, labels, groupings."""

from __future__ import annotations

import re
from dataclasses import dataclass

FUNCTIONS = frozenset(
    [
        "abs",
        "avg_over_time",
        "changes",
        "clamp_max",
        "clamp_min",
        "deriv",
        "histogram_quantile",
        "increase",
        "irate",
        "label_replace",
        "last_over_time",
        "max_over_time",
        "min_over_time",
        "predict_linear",
        "rate",
        "round",
        "scalar",
        "sum_over_time",
        "time",
        "vector",
    ]
)
AGGREGATIONS = frozenset(
    [
        "sum",
        "min",
        "max",
        "avg",
        "count",
        "topk",
        "bottomk",
        "quantile",
        "count_values",
        "stddev",
        "group",
    ]
)
GROUPINGS = frozenset(
    [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ]
)
OPERATORS = frozenset(
    [
        "and",
        "or",
        "unless",
        "offset",
        "bool",
    ]
)

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<range>\[[^\]]*\])
      | (?P<variable>\$\w+|\$\{\w+\})
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<number>\d+(?:\.\d+)?[smhdwy]?)
      | (?P<match>=~|!~|!=|=(?!=))
      | (?P<sign>==|>=|<=|[-+*/%^<>(){},])
      | (?P<space>\s+)""",
    re.VERBOSE,
)


class QueryError(ValueError):
    """Something in the query is neither a known function, keyword, nor PromQL at all."""


@dataclass(frozen=True)
class Selector:
    """A metric with the labels a query selects or groups it by, and the texts they are compared with."""

    metric: str
    matches: tuple[tuple[str, str, str], ...]
    """(label, operator, text)."""


@dataclass(frozen=True)
class Query:
    """What a query asks for."""

    selectors: tuple[Selector, ...]
    groupings: frozenset[str]
    """Labels named in by, without, on, ignoring and group_left."""


def parse_query(text: str) -> Query:
    """The selectors and groupings of a query. Raises QueryError for words and signs it does not know."""
    tokens = list(_tokens(text))
    selectors: list[Selector] = []
    groupings: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, word = tokens[place]
        follows = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind != "name" or word in OPERATORS or word in AGGREGATIONS:
            continue
        if word in GROUPINGS:
            if follows == "(":
                end = tokens.index(("sign", ")"), place)
                groupings.update(name for sort, name in tokens[place:end] if sort == "name")
                place = end + 1
        elif follows == "(":
            if word not in FUNCTIONS:
                raise QueryError(f"{word} is no function of PromQL that is known here: {text}")
        elif follows == "{":
            end = tokens.index(("sign", "}"), place)
            selectors.append(Selector(word, _matches(tokens[place + 1 : end], text)))
            place = end + 1
        else:
            selectors.append(Selector(word, ()))
    return Query(tuple(selectors), frozenset(groupings))


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise QueryError(f"{text[place : place + 20]!r} is no PromQL: {text}")
        if token.lastgroup != "space":
            found.append((str(token.lastgroup), token[0]))
        place = token.end()
    return found


def _matches(tokens: list[tuple[str, str]], text: str) -> tuple[tuple[str, str, str], ...]:
    words = [token for token in tokens if token != ("sign", ",")]
    found = []
    for label, match, value in zip(words[::3], words[1::3], words[2::3], strict=True):
        if (label[0], match[0]) != ("name", "match") or value[0] != "text":
            raise QueryError(f'a selector of {text} is not label="text"')
        found.append((label[1], match[1], value[1][1:-1]))
    return tuple(found)
