"""A member that says nothing and hears all gossip: what any key has said, and whether it said two things."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

import trio

from node.network.host import open_host
from protocol.evidence import Slot, vote_slot
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.messages import Body, Evidence
from protocol.statement import Statement, StatementError, parse, verify_signature
from protocol.verdict import Verdict

START_WITHIN_S = 20.0


class Listener:
    """Runs a host in a thread of its own until the block ends. Holds what one test network says: bounded."""

    def __init__(self, genesis: Genesis, seed: bytes, addresses: Sequence[str]) -> None:
        self._genesis = genesis
        self._seed = seed
        self._addresses = tuple(addresses)
        self._heard: dict[bytes, Statement[Body]] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: trio.Event | None = None

    def __enter__(self) -> Listener:
        self._thread.start()
        assert self._ready.wait(START_WITHIN_S), "the listener did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        assert self._stop is not None
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(START_WITHIN_S)
        assert not self._thread.is_alive(), "the listener did not stop"

    def statements(self) -> list[Statement[Body]]:
        """Every validly signed statement of a member, each once."""
        return list(self._heard.values())

    def accusations(self) -> list[Statement[Body]]:
        """Evidence somebody gossiped."""
        return [statement for statement in self.statements() if isinstance(statement.body, Evidence)]

    def said_twice(self) -> dict[Slot, list[Statement[Body]]]:
        """Slots in which one key made two different statements. Empty in any network that is sound."""
        slots: dict[Slot, list[Statement[Body]]] = {}
        for statement in self.statements():
            slot = vote_slot(statement)
            if slot is not None:
                slots.setdefault(slot, []).append(statement)
        return {slot: said for slot, said in slots.items() if len(said) > 1}

    def _run(self) -> None:
        trio.run(self._listen)

    async def _listen(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        topics = Topic(self._genesis.network_id)
        async with open_host(self._seed, [], admit=self._genesis.is_member) as host:
            for topic in (topics.rounds, topics.votes):
                host.spawn((await host.subscribe(topic, self._hear)).aclose, "unread")
            # To everyone directly: what one peer keeps to itself, another passes on.
            host.maintain(self._addresses)
            self._ready.set()
            await self._stop.wait()

    def _hear(self, data: bytes, forwarder: bytes) -> Verdict:
        try:
            statement = parse(data, self._genesis.network_id)
        except StatementError:
            return Verdict.IGNORE
        if not self._genesis.is_member(statement.signer) or not verify_signature(statement):
            return Verdict.IGNORE
        self._heard.setdefault(statement.digest, statement)
        return Verdict.ACCEPT
