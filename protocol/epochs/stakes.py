"""Stake that changes hands: which transfers a record takes up, and what becomes of them in the next one.

A transfer leaves its giver in the record that takes it up, and arrives in the record after. In between nobody
votes with it, and it is lost if the giver is convicted: whatever is found out about the last rounds in which
the giver voted with it is found out before it arrives (ADR 0018).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from protocol.cards import ValidatorCard, card_fault, is_signed_by_owner
from protocol.codec import encode
from protocol.epochs.record import TRANSFERS_MAX, HeldTransfer, JoinedValidator, ValidatorState
from protocol.epochs.view import Epoch
from protocol.genesis import VALIDATORS_MAX
from protocol.messages import StakeTransfer
from protocol.schedule import is_first_place
from protocol.statement import Statement

TRANSIT_PARTS = 8
"""At most this part of all stake is on its way at a time: who votes on an epoch must stay who is trusted."""
CARDS_BYTES_MAX = 512 << 10
"""Of all validators that joined and are about to, so that every record has room for them."""


def transfer_fault(members: Epoch, statement: Statement[StakeTransfer]) -> str | None:
    """Why a transfer counts for nothing in any record, signatures aside; `members` are its epoch's."""
    body = statement.body
    if not is_first_place(members.genesis, body.at):
        return "it does not name the first shard-round of an epoch"
    if statement.signer not in members.validators:
        return "its signer is no validator"
    if body.to == statement.signer:
        return "it gives stake to its own signer"
    for signed in body.card:
        if signed.card.public_key != body.to:
            return "its card is not that of the key it gives stake to"
        return card_fault(members.parameters, signed.card)
    return None


def consent_fault(network_id: bytes, body: StakeTransfer) -> str | None:
    """Why the newcomer of a transfer is not known to consent; costs a signature."""
    if all(is_signed_by_owner(network_id, signed) for signed in body.card):
        return None
    return "its card is not signed by its owner"


def transfer_refusal(members: Epoch, statement: Statement[StakeTransfer]) -> str | None:
    """Why the record after `members` does not take up a transfer, its age and signatures aside."""
    giver, body = statement.signer, statement.body
    state = members.validators.get(giver)
    if state is None:
        return "a transfer by a key that is no validator"
    if any(held.giver == giver and body.at.epoch <= held.made for held in members.record.transfers):
        return "a giver's second transfer of one epoch"
    least = place_stake(members)
    if body.amount + least > state.stake:
        return f"a transfer that leaves its giver less than {least}"
    if body.amount > transit_stake_max(members):
        return "a transfer of more than may be on its way at a time"
    if any(state.public_key == body.to for state in members.table.encoders):
        return "a transfer to an encoder"
    known = members.states.get(body.to)
    if known is not None:
        return None if known.stake else "a transfer to a convicted key"
    if not body.card:
        return "a transfer to a stranger without its card"
    return None if body.amount >= least else f"a newcomer would have less than {least}"


def place_stake(members: Epoch) -> int:
    """The least stake of a newcomer, and of who gives some away: so that places cannot run out for others."""
    return max(1, -(-members.total_stake // VALIDATORS_MAX))


def transit_stake_max(members: Epoch) -> int:
    """How much stake may leave its givers with the record after `members`."""
    return members.total_stake // TRANSIT_PARTS


def fitting(members: Epoch, statements: Sequence[Statement[StakeTransfer]]) -> list[Statement[StakeTransfer]]:
    """Those of the transfers, in their order, for which one record has room; each is one it would take."""
    taken: list[Statement[StakeTransfer]] = []
    room = transit_stake_max(members)
    newcomers = {held.to for held in members.record.transfers} - members.states.keys()
    cards_bytes = sum(len(encode(one)) for one in members.record.joined)
    cards_bytes += sum(len(encode(held)) for held in members.record.transfers)
    for statement in statements:
        body = statement.body
        is_new = body.to not in members.states
        places = len(members.states) + len(newcomers | {body.to} if is_new else newcomers)
        size_bytes = len(encode(_held(statement))) if is_new else 0
        if (
            len(taken) == TRANSFERS_MAX
            or body.amount > room
            or (is_new and (places > VALIDATORS_MAX or cards_bytes + size_bytes > CARDS_BYTES_MAX))
        ):
            continue
        taken.append(statement)
        room -= body.amount
        cards_bytes += size_bytes
        if is_new:
            newcomers.add(body.to)
    return taken


class Stakes(NamedTuple):
    """What a record says of the validators."""

    validators: tuple[ValidatorState, ...]
    joined: tuple[JoinedValidator, ...]
    transfers: tuple[HeldTransfer, ...]


def next_stakes(
    members: Epoch,
    transfers: Iterable[Statement[StakeTransfer]],
    convicted: Collection[bytes],
    encoders: Collection[bytes],
    dealers: Sequence[bytes],
    seed: bytes,
) -> Stakes:
    """The validators after `members`: what was on its way arrives, what is given leaves, guilt costs all.

    `encoders` are all keys of the new record's table, `dealers` those of the epoch of `members`, `seed` is
    the new record's. Stake is neither made nor lost but by conviction.
    """
    stakes = {key: state.stake for key, state in members.states.items()}
    joined = {one.card.public_key: one for one in members.record.joined}
    for held in members.record.transfers:
        if held.giver in convicted:
            continue
        to = held.to
        if to in stakes:
            to = to if stakes[to] and to not in convicted else held.giver
        elif to in encoders:
            to = held.giver
        else:
            joined[to] = JoinedValidator(_card(held), seed)
        stakes[to] = stakes.get(to, 0) + held.amount
    leaving = []
    for statement in transfers:
        if statement.signer not in convicted:
            stakes[statement.signer] -= statement.body.amount
            leaving.append(_held(statement, members.states))
    blocks = {key: state.blocks_dealt for key, state in members.states.items()}
    return Stakes(
        tuple(
            ValidatorState(
                key, 0 if key in convicted else stakes[key], blocks.get(key, 0) + dealers.count(key)
            )
            for key in sorted(stakes)
        ),
        tuple(joined[key] for key in sorted(joined)),
        tuple(leaving),
    )


def _held(statement: Statement[StakeTransfer], known: Collection[bytes] = ()) -> HeldTransfer:
    body = statement.body
    cards = () if body.to in known else tuple(signed.card for signed in body.card)
    return HeldTransfer(statement.signer, body.at.epoch, body.to, body.amount, cards)


def _card(held: HeldTransfer) -> ValidatorCard:
    # A transfer to somebody unknown is taken up with a card only; nobody is forgotten afterwards.
    (card,) = held.card
    return card
