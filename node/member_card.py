"""The card a node hands to whoever assembles the genesis: its entry, as JSON a person can read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from config.errors import ConfigError, nearest_hint, os_error_sentence
from protocol.genesis import EncoderMember, ValidatorMember
from protocol.hashing import DIGEST_BYTES
from protocol.signatures import SIGNATURE_BYTES

CARD_BYTES_MAX = 64 << 10
_CARD_KEY = "deltamesh_card"
_VERSION = 1
_ROLES: dict[str, type[ValidatorMember] | type[EncoderMember]] = {
    "validator": ValidatorMember,
    "encoder": EncoderMember,
}


class CardError(ConfigError):
    """A text that is no member card."""


@dataclass(frozen=True, slots=True)
class MemberCard:
    """A member's entry of genesis. `chain_length` [steps] is a validator's, and must be the network's.

    The card of a validator that joins a running network names it and is signed; of any other both are empty.
    """

    member: ValidatorMember | EncoderMember
    chain_length: int | None = None
    network_id: bytes = b""
    signature: bytes = b""
    """Over `protocol.cards.card_digest`."""

    @property
    def role(self) -> str:
        """`validator` or `encoder`."""
        return "validator" if isinstance(self.member, ValidatorMember) else "encoder"


def card_to_text(card: MemberCard) -> str:
    """The card as JSON, bytes as hexadecimal digits."""
    document: dict[str, object] = {_CARD_KEY: _VERSION, "role": card.role}
    if card.chain_length is not None:
        document["chain_length"] = card.chain_length
    if card.signature:
        document["network_id"], document["signature"] = card.network_id.hex(), card.signature.hex()
    for name in card.member.__struct_fields__:
        value = getattr(card.member, name)
        document[name] = value.hex() if isinstance(value, bytes) else value
    return json.dumps(document, indent=2) + "\n"


def card_from_text(text: str, source: str = "card") -> MemberCard:
    """The card a JSON text holds. Raises CardError naming `source` and the field."""
    document = _document(text, source)
    role = document.pop("role", None)
    kind = _ROLES.get(role) if isinstance(role, str) else None
    if kind is None:
        raise CardError(f"{source}: role must be 'validator' or 'encoder', not {json.dumps(role)[:80]}")
    chain_length = document.pop("chain_length", None)
    if (chain_length is not None) != (kind is ValidatorMember):
        says = (
            "is missing: a validator's card has it" if chain_length is None else "belongs to validators only"
        )
        raise CardError(f"{source}: chain_length {says}; make the card again with `deltamesh init`")
    if chain_length is not None and (type(chain_length) is not int or chain_length < 1):
        raise CardError(f"{source}: chain_length must be a whole number above zero")
    network_id, signature = (
        _bytes(document.pop(name, ""), name, source) for name in ("network_id", "signature")
    )
    if (len(network_id), len(signature)) not in ((0, 0), (DIGEST_BYTES, SIGNATURE_BYTES)):
        raise CardError(f"{source}: network_id and signature do not belong together; copy the card again")
    return MemberCard(_member(kind, document, source), chain_length, network_id, signature)


def load_card(path: Path) -> MemberCard:
    """The card in a file. Raises CardError."""
    try:
        with path.open("rb") as file:
            data = file.read(CARD_BYTES_MAX + 1)
    except OSError as error:
        raise CardError(os_error_sentence("read the card", path, error)) from None
    if len(data) > CARD_BYTES_MAX:
        raise CardError(f"{path} is over {CARD_BYTES_MAX} bytes, which no card needs: check the path")
    try:
        return card_from_text(data.decode(), str(path))
    except UnicodeDecodeError:
        raise CardError(f"{path} is not UTF-8 text, so it is no member card: check the path") from None


def _document(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise CardError(
            f"{source} line {error.lineno} is not JSON: {error.msg}; copy the card again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CardError(f"{source} is no member card: {error}") from None
    if not isinstance(document, dict) or _CARD_KEY not in document:
        raise CardError(
            f"{source} is no member card (it has no '{_CARD_KEY}'): make one with "
            "`deltamesh init --role validator` or `--role encoder`"
        )
    version = document.pop(_CARD_KEY)
    if version != _VERSION:
        raise CardError(
            f"{source} is a card of version {json.dumps(version)[:20]}, this software reads {_VERSION}: "
            "make the card and the genesis with the same version"
        )
    return document


def _member(
    kind: type[ValidatorMember] | type[EncoderMember], document: dict[str, Any], source: str
) -> ValidatorMember | EncoderMember:
    known = kind.__struct_fields__
    for name in document:
        if name not in known:
            raise CardError(f"{source}: '{name}' is no field of a card{nearest_hint(name, known)}")
    values = []
    for field in msgspec.structs.fields(kind):
        if field.name not in document:
            raise CardError(f"{source}: {field.name} is missing; copy the card again")
        value = document[field.name]
        values.append(_bytes(value, field.name, source) if _is_bytes(field.type) else value)
    try:
        # Records are positional: the list is checked against every limit of the record.
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        place = re.sub(r"\$\[(\d+)\]", lambda found: known[int(found[1])], str(error))
        raise CardError(f"{source}: {place}; copy the card again") from None


def _is_bytes(shape: Any) -> bool:
    return isinstance(inspect.type_info(shape), inspect.BytesType)


def _bytes(value: object, name: str, source: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"([0-9a-f]{2})*", value):
        raise CardError(f"{source}: {name} must be hexadecimal digits between quotes; copy the card again")
    return bytes.fromhex(value)
