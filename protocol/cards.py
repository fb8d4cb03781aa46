"""Cards: what a network has to know of a validator beside its stake, signed by the validator itself.

Genesis holds such data of its own validators. Whoever becomes one later signs a card for one network, so that
nobody is made a validator without wanting it or without holding the key.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from protocol.codec import Digest, PublicKey, Record, Signature, encode
from protocol.genesis import NetworkParameters, Positive, ShortText, ValidatorMember
from protocol.hashing import digest
from protocol.sampling import POOL_ITEMS_MAX
from protocol.signatures import is_valid_public_key, verify


class ValidatorCard(Record, frozen=True):
    """A validator that genesis does not know."""

    public_key: PublicKey
    addresses: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=8)]
    """Multiaddresses others may dial."""
    pool_root: Digest
    """Merkle root of its challenge items."""
    pool_size: Positive
    chain_tip: Digest
    """Tip of its hash chain of mask secrets, as long as the network's, numbered as everybody's."""

    def as_member(self, stake: int) -> ValidatorMember:
        """What genesis would say of it."""
        return ValidatorMember(
            self.public_key, stake, self.addresses, self.pool_root, self.pool_size, self.chain_tip
        )


class SignedCard(Record, frozen=True):
    """A card and its owner's consent to be a validator of one network."""

    card: ValidatorCard
    signature: Signature
    """Over `card_digest`."""


def card_digest(network_id: bytes, card: ValidatorCard) -> bytes:
    """What the owner of a card signs."""
    return digest("validator-card", network_id, encode(card))


def card_of(member: ValidatorMember) -> ValidatorCard:
    """The card of a validator: its entry without its stake."""
    return ValidatorCard(
        member.public_key, member.addresses, member.pool_root, member.pool_size, member.chain_tip
    )


def card_fault(parameters: NetworkParameters, card: ValidatorCard) -> str | None:
    """Why no validator of this network can have such a card, its signature aside; None when one can."""
    if not is_valid_public_key(card.public_key):
        return "its card names no Ed25519 key"
    if not parameters.scored_items <= card.pool_size <= POOL_ITEMS_MAX:
        return "the pool of its card has too few or too many items"
    return None


def is_signed_by_owner(network_id: bytes, signed: SignedCard) -> bool:
    """Whether the owner of a card consents to be a validator of this network."""
    return verify(signed.card.public_key, card_digest(network_id, signed.card), signed.signature)
