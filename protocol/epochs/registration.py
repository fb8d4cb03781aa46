"""Registrations: what a newcomer shows so that keys are not free.

Either genesis holds stake for its key, or it has found a nonce whose digest begins with as many zero bits as
the network asks for. The work is bound to network, key and epoch: none can be done before or for another.
"""

from __future__ import annotations

from protocol.genesis import Genesis
from protocol.hashing import DIGEST_BYTES, digest, uint
from protocol.messages import Registration
from protocol.schedule import is_first_place
from protocol.statement import Statement

NO_WORK = bytes(DIGEST_BYTES)


def work_bits(network_id: bytes, key: bytes, epoch: int, nonce: bytes) -> int:
    """Leading zero bits of a nonce's work."""
    name = digest("registration-work", network_id, key, uint(epoch), nonce)
    return 8 * len(name) - int.from_bytes(name, "big").bit_length()


def find_work(network_id: bytes, key: bytes, epoch: int, bits: int, start: int, tries: int) -> bytes | None:
    """The first of `tries` nonces from number `start` on with `bits` zero bits; 2**bits tries on average."""
    for number in range(start, start + tries):
        nonce = number.to_bytes(DIGEST_BYTES, "big")
        if work_bits(network_id, key, epoch, nonce) >= bits:
            return nonce
    return None


def registration_fault(genesis: Genesis, statement: Statement[Registration]) -> str | None:
    """Why a registration counts for nothing, its signature aside; None when it counts."""
    body, key = statement.body, statement.signer
    if not is_first_place(genesis, body.at):
        return "it does not name the first shard-round of an epoch"
    if key in genesis.validators:
        return "its signer is a validator"
    if key in genesis.bonds or key in genesis.encoders:
        return None  # an encoder of genesis that had left comes back by the stake it had
    bits = genesis.parameters.registration_work_bits
    if work_bits(genesis.network_id, key, body.at.epoch, body.work) < bits:
        return f"its proof of work has fewer than {bits} bits"
    return None


def stake_of(genesis: Genesis, key: bytes) -> int:
    """The stake a registered encoder begins with."""
    bond = genesis.bonds.get(key) or genesis.encoders.get(key)
    return genesis.parameters.registration_stake if bond is None else bond.stake
