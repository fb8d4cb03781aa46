"""Several certified rounds without tensors, and stores that hold some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from node.network.counters import Counters
from node.network.exchange import digest_of
from node.roles.recorder import Recorder
from node.store import Store
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.rounds import effects as fx
from protocol.schedule import shard_round, slot_start_ms
from tests.support.epochs import epochs_of
from tests.support.genesis import small_network
from tests.support.honest_round import answers_of, plain_comparison, plain_scores
from tests.support.memory_network import Identity, MemoryNetwork

ITEMS = 8


@dataclass(frozen=True)
class History:
    """What every validator of a network should hold, by round and shard."""

    genesis: Genesis
    validators: list[Identity]
    encoders: list[Identity]
    facts: tuple[fx.RoundCertified, ...]
    answers: Mapping[bytes, bytes] = field(default_factory=dict)
    """What encoders revealed, by digest."""

    def bodies(self) -> dict[bytes, bytes]:
        """The reports' bodies by digest."""
        return {digest_of(encode(fact.body)): encode(fact.body) for fact in self.facts}

    def of_round(self, round_: int) -> list[fx.RoundCertified]:
        """The facts of a round."""
        return [fact for fact in self.facts if fact.at.round == round_]


@cache
def certified_history(rounds: int = 6, shards: int = 1) -> History:
    """Rounds 0 and on of 4 validators and 4 encoders."""
    genesis, validators, encoders = small_network(
        4, 4, items=ITEMS, shards_per_round=shards, chain_length=64, epoch_rounds=6
    )
    net = MemoryNetwork(
        genesis,
        [*validators, *encoders],
        {person.key: answers_of(person.key) for person in encoders},
        plain_scores,
        plain_comparison,
    )
    for round_ in range(rounds):
        for shard in range(shards):
            # Shards of a round run side by side, here one after the other.
            net.now_ms = slot_start_ms(genesis, round_)
            net.run(shard_round(genesis, round_, shard))
    facts = [fact for fact in net.nodes[validators[0].key].facts if isinstance(fact, fx.RoundCertified)]
    return History(genesis, validators, encoders, tuple(facts), net.nodes[validators[0].key].blobs)


def open_store(folder: Path) -> Store:
    """An empty store."""
    folder.mkdir(parents=True, exist_ok=True)
    return Store.open(folder / "store.sqlite", folder / "blobs")


def record(store: Store, history: History, *facts: fx.Fact) -> None:
    """Write facts down as a node does."""
    recorder = Recorder(epochs_of(history.genesis), store, Counters(), Path("epoch.lock"))
    for fact in facts:
        recorder._persist(fact)
