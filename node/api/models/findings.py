"""Evidence and disputes as the API tells them."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Base64, Hex, Next
from node.api.models.reports import Place
from node.api.models.rounds import Dispute


class SignedStatement(Answer):
    """One of the statements that convict."""

    kind: str
    digest: Hex = Field(description="What its signature covers.")
    at: Place | None
    envelope: Base64 = Field(description="As it was signed and travelled.")


class EvidenceDetail(Answer):
    """A self-contained proof against one key."""

    digest: Hex
    offender: Hex
    kind: str = Field(description="equivocation, false-reveal, wrong-preimage or false-certificate.")
    teller: Hex | None = Field(description="Who gossiped it; it convicts whoever tells it.")
    statements: tuple[SignedStatement, ...] = Field(description="One or two; empty where it is unreadable.")
    received_ms: int


class EvidencePage(Answer):
    """Evidence, newest first."""

    evidence: tuple[EvidenceDetail, ...]
    next_before: Next


class DisputePage(Answer):
    """Disputes, newest first."""

    disputes: tuple[Dispute, ...]
    next_before: Next
