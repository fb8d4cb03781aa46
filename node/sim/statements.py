"""A simulated node among others: judges what it hears as `node/statements.py` does, signs what it says."""

from __future__ import annotations

from typing import Any

from node.signer.errors import SignerError
from node.sim.process import SimProcess
from protocol.evidence import vote_slot
from protocol.gossip_rules import Topic, accused_of
from protocol.hearing import Heard
from protocol.messages import Body, Commit, Evidence, Exit, Registration
from protocol.rounds import events as ev
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict


class SpeakingProcess(SimProcess):
    """Statements, in and out."""

    follows_votes = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._topics = Topic(self.genesis.network_id)

    def receive(self, data: bytes, topic: str | None) -> None:
        """A statement has arrived."""
        self.enter(lambda: self._hear(data, topic))

    def _hear(self, data: bytes, topic: str | None) -> None:
        heard = self.hearing.hear(data, self.now_ms, topic)
        statement, verdict = heard.judgement.statement, heard.judgement.verdict
        self.observer.heard(self, heard)
        self.heard(heard)
        if verdict is Verdict.ACCEPT and statement is not None:
            self.note(f"accepts {self.observer.named(statement)}")
            if topic is not None:
                self.forward(statement, topic)
            elif isinstance(statement.body, Commit | Registration | Exit):
                self.gossip(statement)  # the witnesses of a commit make it known; so with who joins or leaves
            self.accepted(statement)
        elif verdict is Verdict.REJECT or statement is not None:
            self.note(f"{verdict.value}s: {heard.judgement.reason}")
        if heard.evidence is not None:
            self.accuse(heard.evidence)

    def heard(self, heard: Heard) -> None:
        """A statement was judged; byzantine nodes listen here."""

    def accepted(self, statement: Statement[Body]) -> None:
        """Hand a statement to the machines of its round."""
        body = statement.body
        self.witness(statement)
        if isinstance(body, Evidence):
            return
        if body.at not in self.machines:
            self.unopened(statement)
        self.handle(body.at, ev.Received(statement))

    def witness(self, statement: Statement[Body]) -> None:
        """Take note of a statement, whatever the machines make of it."""

    def unopened(self, statement: Statement[Body]) -> None:
        """No machine is open for this statement's round; a role may open one."""

    def forward(self, statement: Statement[Body], topic: str) -> None:
        """Gossip on what somebody else has said."""
        self.network.forward(self.key, statement.data, topic)

    def gossip(self, statement: Statement[Body]) -> None:
        """Gossip to everyone on the kind's topic."""
        topic = self._topics.of(statement.kind)
        if topic is not None:
            self.network.gossip(self.key, statement.data, topic)

    def accuse(self, evidence: Evidence) -> None:
        """Gossip evidence found here, if this node is heard: a member of the epoch that it is about."""
        accused = accused_of(evidence, self.genesis.network_id)
        epoch = None if accused is None else self.epochs.find(accused[0].epoch)
        if epoch is None or not epoch.is_member(self.key):
            return
        self.gossip(self.say(evidence))

    def say(self, body: Body) -> Statement[Body]:
        """Sign a body under the one-vote rule; it may leave from here on. Raises SignerError."""
        name = statement_digest(self.genesis.network_id, self.key, body)
        draft: Statement[Body] = Statement(body, self.key, name, b"", b"")
        if self.signer is None:
            raise SignerError("the signer is not open yet: wait for it")
        signature = self.signer.sign(vote_slot(draft), name)
        statement = assemble(self.genesis.network_id, self.key, body, signature)
        self.hearing.remember(statement)
        self.witness(statement)
        self.observer.said(self, statement)
        self.note(f"says {self.observer.named(statement)}")
        return statement

    def peer_gone(self, key: bytes) -> None:
        """Tell every open round that a peer is gone."""

        def tell() -> None:
            for at in list(self.machines):
                self.handle(at, ev.PeerGone(key))

        self.enter(tell)
