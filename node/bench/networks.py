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
_TESTNET: Final = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
_LAST_LAYER: Final = "minilm-6-"
_BEST: Final = "minilm-6-mean"


def default_networks(encoders: Sequence[str]) -> tuple[Network, ...]:
    """The networks that can be made of these encoders, those with the fewest members first.

    `testnet` has the encoders a local network starts with; `complementary` are six unlike each other; `plain`
    is everything that needs no extra; `+ best` adds the last layer of MiniLM, which dominates; `all` has
    everything and `all - best` everything but that layer.
    """
    plain = tuple(name for name in encoders if not name.startswith("minilm-"))
    below_last = tuple(name for name in encoders if not name.startswith(_LAST_LAYER))
    wanted = [
        Network("testnet", _TESTNET),
        Network("complementary", _COMPLEMENTARY),
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
