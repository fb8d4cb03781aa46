"""Networks that consensus rules are compared on: real encoders, with and without one that dominates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.bench.errors import BenchError


@dataclass(frozen=True)
class Network:
    """Encoders that make a consensus together."""

    name: str
    encoders: tuple[str, ...]


_COMPLEMENTARY: Final = ("wordllama-256", "ppmi-256", "lsa-256", "ngram", "chars-4", "words")
_KINDS: Final = ("wordllama-256", "ppmi-256", "lsa-256", "chars-4", "words", "minilm-5-mean")
_EQUALS: Final = (
    "wordllama-256",
    "minilm-5-mean",
    "minilm-5-max",
    "chars-3",
    "chars-4",
    "chars-5",
    "ngram",
    "wordllama-128",
)
_TESTNET: Final = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
_LAST_LAYER: Final = "minilm-6-"
_BEST: Final = "minilm-6-mean"


def default_networks(encoders: Sequence[str]) -> tuple[Network, ...]:
    """The networks that can be made of these encoders, those with the fewest members first.

    `testnet` has the encoders a local network starts with; `complementary` are six unlike each other that
    need no extra; `kinds` is the best of each kind (word vectors, PPMI, LSA, characters, words, a
    transformer) and `equals` everybody at nine tenths or more of the best, both without the last layer of
    MiniLM, which dominates and which `+ best` adds; `plain` is everything that needs no extra; `all` has
    everything and `all - best` everything but that layer.
    """
    plain = tuple(name for name in encoders if not name.startswith("minilm-"))
    below_last = tuple(name for name in encoders if not name.startswith(_LAST_LAYER))
    wanted = [
        Network("testnet", _TESTNET),
        Network("complementary", _COMPLEMENTARY),
        Network("kinds", _KINDS),
        Network("equals", _EQUALS),
        Network("complementary + best", (*_COMPLEMENTARY, _BEST)),
        Network("plain", plain),
        Network("plain + best", (*plain, _BEST)),
        Network("all - best", below_last),
        Network("all", tuple(encoders)),
    ]
    found: dict[tuple[str, ...], Network] = {}
    for network in wanted:
        if set(network.encoders) <= set(encoders):
            found.setdefault(network.encoders, network)
    return tuple(found.values())


def networks_by_name(names: Sequence[str], known: Sequence[Network]) -> tuple[Network, ...]:
    """The networks of those names. Raises BenchError, naming those there are."""
    by_name = {network.name: network for network in known}
    for name in names:
        if name not in by_name:
            raise BenchError(f"There is no network `{name}` here: use {', '.join(by_name)}.")
    return tuple(by_name[name] for name in names)
