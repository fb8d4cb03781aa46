"""Reports and their certificates as the API tells them."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Base64, Hex


class Place(Answer):
    """One shard of one round."""

    epoch: int
    round: int
    shard: int


class ReportDetail(Answer):
    """The signed header of a certified report."""

    report: Hex = Field(description="Its digest: what validators attest, and the certificate's id.")
    at: Place
    dealer: Hex
    challenge: Hex
    lock: Hex
    body: Hex = Field(description="Content digest (blake3-256) of the body.")
    body_bytes: int
    body_held: bool = Field(description="Whether /body and /bundle can be had here.")
    items: int
    consensus_root: Hex = Field(description="Merkle root over item ids and raw consensus vectors.")
    preimage: Hex = Field(description="Of the dealer's hash chain: the masks derive from it.")
    header: Base64 = Field(description="The signed envelope itself.")


class Vote(Answer):
    """One attestation of a certificate, or one vote on the record of an epoch."""

    validator: Hex
    stake: int | None = Field(description="Null where the epoch's record is not held here.")
    signature: str = Field(description="Ed25519, hex.", pattern="^[0-9a-f]{128}$")


class CertificateDetail(Answer):
    """Attestations of at least two thirds of the stake.

    The id is that of the report: the same on every validator, whatever attestations each has collected.
    """

    id: Hex
    at: Place
    attestations: tuple[Vote, ...]
    stake: int | None = Field(description="Of the votes together.")
    total_stake: int | None = Field(description="What a quorum is two thirds of.")
    header: Base64 = Field(description="Envelope of the signed report header.")
    certificate: Base64 = Field(description="The canonical certificate record.")
