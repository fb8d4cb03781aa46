"""A small network's genesis and secrets, from a seed."""

from __future__ import annotations

from protocol.chain import HashChain
from protocol.genesis import EncoderMember, Genesis, GenesisContent, NetworkParameters, ValidatorMember
from protocol.hashing import digest
from protocol.items import canonical_text
from protocol.merkle import merkle_root
from protocol.signatures import public_key
from tests.support.memory_network import Identity

WORDS = [
    "the",
    "peer",
    "sends",
    "a",
    "signed",
    "statement",
    "when",
    "every",
    "encoder",
    "of",
    "this",
    "shard",
    "has",
    "shown",
    "its",
    "answers",
    "and",
    "no",
    "validator",
    "may",
    "believe",
    "what",
    "it",
    "did",
    "not",
    "compute",
    "itself",
    "because",
    "numbers",
    "differ",
    "between",
    "machines",
    "while",
    "digests",
    "never",
    "do",
    "so",
    "the",
    "network",
    "certifies",
    "bytes",
    "and",
    "compares",
    "values",
    "within",
    "a",
    "stated",
    "tolerance",
]


def text_items(name: str, count: int) -> list[bytes]:
    """Distinct items of 20 words."""
    items = []
    for index in range(count):
        stream = digest("test-item", name.encode(), index.to_bytes(4, "big"))
        words = [WORDS[byte % len(WORDS)] for byte in stream[:19]]
        items.append(canonical_text(" ".join([*words, f"{name}{index}"])))
    return items


def small_network(
    validators: int = 4, encoders: int = 6, *, items: int = 64, seed: str = "a", **changes: object
) -> tuple[Genesis, list[Identity], list[Identity]]:
    """Genesis, validators' and encoders' secrets."""
    parameters: dict[str, object] = {
        "modality": "text",
        "slot_ms": 20_000,
        "epoch_rounds": 16,
        "shards_per_round": 1,
        "shard_size": 16,
        "scored_items": items,
        "served_items_max": 16,
        "masks_per_item": 2,
        "wave_deadline_ms": 5_000,
        "reveal_deadline_ms": 5_000,
        "encoders_min": 3,
        "rule": "hardened",
        "reference_encoder": "wordllama-256",
        "tolerance_ppm": 1_000,
        "chain_length": 64,
        "probation_shards": 4,
        "silent_epochs_max": 4,
        "reputation_half_life_epochs": 2,
        "registration_work_bits": 4,
        "registration_stake": 10,
        "first_mask": "cut",
        **changes,
    }
    people = []
    for index in range(validators + encoders):
        secret = digest("test-key", seed.encode(), index.to_bytes(4, "big"))
        people.append(Identity(secret, public_key(secret)))
    members = []
    for index, person in enumerate(people[:validators]):
        person.pool = text_items(f"v{index}x", 8 * items)
        person.chain = HashChain(person.seed, 64)
        tip = person.chain.tip
        members.append(ValidatorMember(person.key, 100, (), merkle_root(person.pool), len(person.pool), tip))
    content = GenesisContent(
        name="memory",
        nonce=digest("test-nonce", seed.encode()),
        genesis_time_ms=1_000_000,
        parameters=NetworkParameters(**parameters),  # type: ignore[arg-type]
        validators=tuple(members),
        encoders=tuple(EncoderMember(person.key, 100) for person in people[validators:]),
        bonds=(),
    )
    return Genesis(content), people[:validators], people[validators:]
