"""Genesis: who the members of the network are and by which parameters it runs.

The network id is the digest of the canonical genesis; every signed statement carries it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

import msgspec

from protocol.chain import LENGTH_MAX
from protocol.codec import CodecError, Digest, Natural, PublicKey, Record, decode, encode
from protocol.hashing import digest
from protocol.masks import MASKS_MAX, FirstMask
from protocol.modalities import MODALITIES, Modality
from protocol.probes import probe_count
from protocol.sampling import POOL_ITEMS_MAX
from protocol.signatures import is_valid_public_key

GENESIS_BYTES_MAX = 4 << 20
MEMBERS_MAX = 16_384
EPOCH_ROUNDS_MIN = 6
"""Three rounds until those of the epoch before have expired, and three to agree on the next record."""
HALF_LIFE_EPOCHS_MAX = 4096
WORK_BITS_MAX = 64
VALIDATORS_MAX = 4096
"""So that the attestations of all of them fit one certificate."""
SHARD_SIZE_MAX = 1024
"""So that the commits of all of them fit one lock."""
BATCH_ITEMS_MAX = 8192
VIEWS_MAX = 65_536
"""Views of one wave."""
WAVE_BYTES_MAX = 64 << 20
VIEW_OVERHEAD_BYTES = 64
"""More than a view's id, framing and share of the seal take beside its text."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NetworkParameters(Record, frozen=True):
    """Constants every node of one network shares."""

    modality: ShortText
    """What kind of data it embeds: one of `protocol.modalities.MODALITIES`."""
    slot_ms: Positive
    """Length of a round's slot."""
    epoch_rounds: Positive
    shards_per_round: Positive
    shard_size: Positive
    """Encoders sampled for one shard; fewer when the network has fewer."""
    scored_items: Positive
    """Challenge items of a batch that enter the scores; at least 64 in a network that strangers run."""
    served_items_max: Natural
    """Submitted items that may ride along in one batch."""
    masks_per_item: Positive
    """K; mask 0 is scored by discrimination, the others travel in the last wave."""
    wave_deadline_ms: Positive
    """Time-out of one wave: a wave ends earlier when everyone still awaited has committed."""
    reveal_deadline_ms: Positive
    encoders_min: Positive
    """A shard-round with fewer revealing encoders is void."""
    rule: ShortText
    """Name of the scoring rule preset."""
    reference_encoder: ShortText
    """The encoder whose space the network shares; anyone can run it offline."""
    tolerance_ppm: Positive
    """How far an attester's numbers may lie from the dealer's: |a - b| <= tolerance (1 + |b|)."""
    chain_length: Positive
    """Length of a validator's hash chain of mask secrets: the number of shard-rounds it can cover."""
    probation_shards: Positive
    """Certified shard-rounds a newcomer must have been judged in before it has weight."""
    silent_epochs_max: Positive
    """An encoder that was sampled and revealed nothing in so many epochs in a row has left."""
    reputation_half_life_epochs: Positive
    """After so many epochs a score counts half in the reputation."""
    registration_work_bits: Positive
    """Leading zero bits a registration's proof of work has, unless genesis holds a bond for its key."""
    registration_stake: Positive
    """Stake of an encoder that registered by work."""
    first_mask: ShortText
    """How mask 0 is drawn: one of `protocol.masks.FirstMask`."""


class ValidatorMember(Record, frozen=True):
    """A validator of genesis."""

    public_key: PublicKey
    stake: Positive
    addresses: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=8)]
    """Multiaddresses others may dial; empty when it is found through bootstrap peers."""
    pool_root: Digest
    """Merkle root of its challenge items, committed before the seed that picks from them is known."""
    pool_size: Positive
    chain_tip: Digest
    """Tip of its hash chain of mask secrets."""


class EncoderMember(Record, frozen=True):
    """An encoder of genesis. Nothing tells which model it runs."""

    public_key: PublicKey
    stake: Positive


class GenesisContent(Record, frozen=True):
    """What the network id is the digest of."""

    name: ShortText
    nonce: Digest
    """Random, so that no two networks share an id and no statement can be replayed between them."""
    genesis_time_ms: Natural
    """Start of round 0, milliseconds since the Unix epoch."""
    parameters: NetworkParameters
    validators: Annotated[tuple[ValidatorMember, ...], msgspec.Meta(min_length=1, max_length=VALIDATORS_MAX)]
    encoders: Annotated[tuple[EncoderMember, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    bonds: Annotated[tuple[EncoderMember, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """Stake set aside for encoders that may register later, without work."""


class GenesisError(ValueError):
    """A genesis that no network can run by."""


class Genesis:
    """A checked genesis with its look-ups."""

    def __init__(self, content: GenesisContent) -> None:
        self.content = content
        self.parameters = content.parameters
        _check(content)

    @classmethod
    def from_bytes(cls, data: bytes) -> Genesis:
        """Raises GenesisError when the bytes are not a canonical, sensible genesis."""
        try:
            genesis = cls(_decoded(data))
        except CodecError as error:
            raise GenesisError(str(error)) from None
        if genesis.data != data:
            raise GenesisError("a genesis does not name the first mask where it is spans")
        return genesis

    @cached_property
    def data(self) -> bytes:
        """Canonical bytes."""
        if self.first_mask is not FirstMask.SPANS:
            return encode(self.content)
        fields = msgspec.structs.astuple(self.content)
        parameters = msgspec.structs.astuple(self.parameters)[:-1]
        return encode((*fields[:_PARAMETERS], parameters, *fields[_PARAMETERS + 1 :]))

    @cached_property
    def network_id(self) -> bytes:
        """Digest of the canonical bytes; part of every signed statement."""
        return digest("genesis", self.data)

    @property
    def modality(self) -> Modality:
        """What kind of data the network embeds."""
        return MODALITIES[self.parameters.modality]

    @property
    def first_mask(self) -> FirstMask:
        """How mask 0 is drawn."""
        return FirstMask(self.parameters.first_mask)

    @cached_property
    def validators(self) -> dict[bytes, ValidatorMember]:
        """By public key, in key order."""
        return {m.public_key: m for m in sorted(self.content.validators, key=lambda m: m.public_key)}

    @cached_property
    def encoders(self) -> dict[bytes, EncoderMember]:
        """By public key, in key order."""
        return {m.public_key: m for m in sorted(self.content.encoders, key=lambda m: m.public_key)}

    @cached_property
    def bonds(self) -> dict[bytes, EncoderMember]:
        """Stake set aside for encoders that may register, by public key."""
        return {bond.public_key: bond for bond in self.content.bonds}

    @cached_property
    def validator_stakes(self) -> tuple[tuple[bytes, int], ...]:
        """(public key, stake) in key order."""
        return tuple((key, member.stake) for key, member in self.validators.items())

    @cached_property
    def total_stake(self) -> int:
        """Bonded stake of all validators: what a quorum is two thirds of."""
        return sum(stake for _, stake in self.validator_stakes)

    def is_member(self, public_key: bytes) -> bool:
        """Whether the key is a validator or an encoder of this network."""
        return public_key in self.validators or public_key in self.encoders


_PARAMETERS = GenesisContent.__struct_fields__.index("parameters")


def _decoded(data: bytes) -> GenesisContent:
    """Raises CodecError. A genesis without the last parameter is of a network whose first masks are spans."""
    try:
        return decode(data, GenesisContent, size_bytes_max=GENESIS_BYTES_MAX)
    except CodecError:
        if len(data) > GENESIS_BYTES_MAX:
            raise
        fields: list[Any] = decode(data, list, size_bytes_max=GENESIS_BYTES_MAX)
        parameters = fields[_PARAMETERS] if len(fields) > _PARAMETERS else None
        named = len(NetworkParameters.__struct_fields__)
        if not isinstance(parameters, list) or len(parameters) != named - 1:
            raise
        parameters.append(FirstMask.SPANS.value)
        return decode(encode(fields), GenesisContent, size_bytes_max=GENESIS_BYTES_MAX)


def views_bounds(p: NetworkParameters, wave: int) -> tuple[int, int]:
    """The fewest and the most views a wave can have: served items may be none, or too short to mask."""
    per_item = 1 if wave < 3 else 2 * p.masks_per_item - 1
    probes = 0 if wave < 3 else probe_count(p.scored_items, p.masks_per_item)
    return p.scored_items * per_item + probes, (p.scored_items + p.served_items_max) * per_item + probes


def largest_wave(p: NetworkParameters) -> tuple[int, int]:
    """Views of the third wave, and its bytes, where every item is as large as the modality allows."""
    views = views_bounds(p, 3)[1]
    modality = MODALITIES[p.modality]
    # The third wave holds an item whole and, cut in two, once for every further mask, and parts as probes. A
    # masked part of text is shorter than its item; of a picture it is as large.
    probes = probe_count(p.scored_items, p.masks_per_item)
    items = p.scored_items + p.served_items_max
    whole = views if modality.masks_keep_size else items * p.masks_per_item + probes
    return views, whole * modality.item_bytes_max + views * VIEW_OVERHEAD_BYTES


def wave_fits(p: NetworkParameters) -> bool:
    """Whether the largest wave is within the bounds of all waves."""
    views, wave_bytes = largest_wave(p)
    return views <= VIEWS_MAX and wave_bytes <= WAVE_BYTES_MAX


def _check(content: GenesisContent) -> None:
    _check_members(content)
    p = content.parameters
    if p.modality not in MODALITIES:
        raise GenesisError(
            f"'{p.modality}' is no modality this software knows: use one of {', '.join(MODALITIES)}, "
            "or update it"
        )
    if p.first_mask not in set(FirstMask):
        raise GenesisError(f"'{p.first_mask}' is no way to draw the first mask: {' or '.join(FirstMask)}")
    if p.epoch_rounds < EPOCH_ROUNDS_MIN:
        raise GenesisError(
            f"an epoch of {p.epoch_rounds} rounds is too short to agree on the next one: "
            f"{EPOCH_ROUNDS_MIN} at least"
        )
    if p.reputation_half_life_epochs > HALF_LIFE_EPOCHS_MAX:
        raise GenesisError(f"reputation_half_life_epochs is over {HALF_LIFE_EPOCHS_MAX}: nothing would count")
    if p.registration_work_bits > WORK_BITS_MAX:
        raise GenesisError(f"registration_work_bits is over {WORK_BITS_MAX}: nobody could register")
    if p.epoch_rounds * p.shards_per_round > p.chain_length:
        raise GenesisError("chain_length is shorter than one epoch: no validator could cover it")
    if p.chain_length > LENGTH_MAX:
        raise GenesisError(f"chain_length {p.chain_length} is over {LENGTH_MAX}: begin a new network earlier")
    if p.shards_per_round > len(content.validators):
        raise GenesisError(
            f"shards_per_round is {p.shards_per_round} with {len(content.validators)} validators: each shard "
            "of a round needs a dealer of its own"
        )
    _check_deadlines(p)
    _check_batch(p)
    if p.shard_size > SHARD_SIZE_MAX:
        raise GenesisError(f"shard_size {p.shard_size} is over {SHARD_SIZE_MAX}, what one lock can hold")
    if p.encoders_min > p.shard_size:
        raise GenesisError(
            f"encoders_min is {p.encoders_min}, shard_size {p.shard_size}: every round would be void"
        )


def _check_members(content: GenesisContent) -> None:
    members: tuple[ValidatorMember | EncoderMember, ...] = (
        *content.validators,
        *content.encoders,
        *content.bonds,
    )
    keys = [member.public_key for member in members]
    if len(set(keys)) != len(keys):
        raise GenesisError("a key appears twice among the members: every node needs a key of its own")
    broken = [key for key in keys if not is_valid_public_key(key)]
    if broken:
        raise GenesisError(f"{broken[0].hex()} is no Ed25519 public key: nobody could sign for it")
    large = [m for m in content.validators if m.pool_size > POOL_ITEMS_MAX]
    if large:
        raise GenesisError(f"a pool of {large[0].pool_size} items is over {POOL_ITEMS_MAX}: split the corpus")


def _check_deadlines(p: NetworkParameters) -> None:
    phases_ms = 3 * p.wave_deadline_ms + p.reveal_deadline_ms
    if phases_ms > 2 * p.slot_ms:
        raise GenesisError(
            f"the deadlines of a round add up to {phases_ms} ms, over two slots of {p.slot_ms} ms"
        )
    if 2 * p.wave_deadline_ms > p.slot_ms:
        # A report of the next round shows the preimage that this round's masks derive from.
        raise GenesisError(
            f"two waves of {p.wave_deadline_ms} ms do not fit a slot of {p.slot_ms} ms: their masks could "
            "be known before they are answered, when one validator deals two rounds in a row"
        )


def _check_batch(p: NetworkParameters) -> None:
    items = p.scored_items + p.served_items_max
    if items > BATCH_ITEMS_MAX:
        raise GenesisError(f"a batch of {items} items is over {BATCH_ITEMS_MAX}: score or serve fewer")
    if p.masks_per_item > MASKS_MAX:
        raise GenesisError(f"masks_per_item {p.masks_per_item} is over {MASKS_MAX}")
    views, wave_bytes = largest_wave(p)
    if not wave_fits(p):
        raise GenesisError(
            f"a wave could have {views} views of {wave_bytes} bytes, over {VIEWS_MAX} or {WAVE_BYTES_MAX}: "
            "score or serve fewer items, or draw fewer masks of each"
        )
