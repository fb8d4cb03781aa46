"""Joining a running network as a validator: the signed card, and whether what is prepared here fits it."""

from __future__ import annotations

import msgspec

from config.datadir import DataDir
from node.keys import NodeKey
from node.member_card import MemberCard
from node.membership import MembershipError, is_prepared_validator
from protocol.cards import SignedCard, ValidatorCard, card_digest, card_fault, card_of, is_signed_by_owner
from protocol.genesis import Genesis, ValidatorMember
from protocol.signatures import sign


def joining_card(key: NodeKey, genesis: Genesis, member: ValidatorMember) -> MemberCard:
    """A validator's card with its consent to join this network. Raises MembershipError."""
    plain = card_of(member)
    fault = card_fault(genesis.parameters, plain)
    if fault is not None:
        raise MembershipError(
            f"{fault}: a batch of this network scores {genesis.parameters.scored_items}, and this pool has "
            f"{plain.pool_size}; prepare it with other --data, in another --home"
        )
    signature = sign(key.seed, card_digest(genesis.network_id, plain))
    return MemberCard(member, genesis.parameters.chain_length, genesis.network_id, signature)


def signed_card(card: MemberCard, genesis: Genesis) -> SignedCard:
    """The newcomer's card of a stake transfer. Raises MembershipError unless it is for this network."""
    if not isinstance(card.member, ValidatorMember):
        raise MembershipError("the card is an encoder's: encoders register by themselves and need no stake")
    signed = SignedCard(card_of(card.member), card.signature or bytes(64))
    if card.network_id != genesis.network_id or not is_signed_by_owner(genesis.network_id, signed):
        raise MembershipError(
            "the card does not say that its owner wants to join this network: have it made anew, with this "
            "network's genesis file (`deltamesh init --role validator --genesis FILE`)"
        )
    fault = card_fault(genesis.parameters, signed.card)
    if fault is not None:
        raise MembershipError(f"no validator of this network can have this card: {fault}")
    return signed


def prepared_or_refused(directory: DataDir, key: NodeKey, genesis: Genesis) -> None:
    """Insist that a key which genesis does not know as a validator's could become one. Raises ConfigError."""
    if key.public_key in genesis.encoders:
        raise MembershipError(
            f"the key {key.fingerprint} is an encoder of this network: run it with `deltamesh run encoder`, "
            "and give the validator a key of its own, with another --home"
        )
    if not is_prepared_validator(directory):
        raise MembershipError(
            f"the key {key.fingerprint} is no validator of this network, and was not prepared to become one: "
            "prepare it with `deltamesh init --role validator`, and hand its card to a validator, who gives "
            "it stake (`deltamesh stake transfer`)"
        )


def card_mismatch(prepared: ValidatorCard, entry: ValidatorMember) -> str | None:
    """Why what is prepared here cannot deal as the network's entry says; None when it can."""
    said = msgspec.structs.replace(card_of(entry), addresses=())
    if said == prepared:
        return None
    what = "hash chain" if said.chain_tip != prepared.chain_tip else "pool of challenge items"
    return f"its {what} is not the one its card in the network's records commits to"
