"""Items as the API tells them."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Base64, Hex
from node.store import ItemState


class ItemEmbedding(Answer):
    """A certified consensus embedding in one space; only vectors of one space can be compared."""

    space: str = Field(description="raw, or `epoch N`: whose transform shaped it.")
    dimensions: int
    vector: tuple[float | None, ...] | Base64 = Field(
        description="Numbers, or base64 of little-endian float32, as `embedding` asks; in a shaped space at "
        "unit norm."
    )


class Item(Answer):
    """One item and where it stands."""

    item_id: Hex
    state: ItemState
    modality: str
    text: str | None = Field(description="Of a text item whose content is held here.")
    submitted_ms: int | None = Field(description="When it was submitted here; null for others' items.")
    round: int | None = Field(description="In which it was embedded last, or is on its way.")
    shard: int | None
    epoch: int | None
    certificate: Hex | None = Field(description="Id of the certificate that binds the embedding.")
    embedding: ItemEmbedding | None = Field(
        description="Null where it is not certified, nobody answered it well, or none was asked for."
    )


class ItemProof(Answer):
    """All that is needed to check one embedding without believing this node, but the epoch's validators.

    The leaf is the 32 bytes of the item's id followed by the vector; `merkle_proof` leads from it to the root
    in the signed header, whose digest the certificate's validators have signed.
    """

    network_id: Hex
    item_id: Hex
    round: int
    shard: int
    epoch: int = Field(description="Whose validators certified it: /v1/epochs/{n}/record.")
    position: int = Field(description="Of the leaf, in batch order.")
    items: int = Field(description="Leaves of the tree.")
    vector: Base64 = Field(description="4,096 bytes: little-endian float32 [1024], raw, as certified.")
    merkle_proof: tuple[Hex, ...] = Field(description="Siblings from the leaf to the top.")
    header: Base64 = Field(description="Envelope of the signed report header.")
    certificate: Base64 = Field(description="Canonical certificate record.")
