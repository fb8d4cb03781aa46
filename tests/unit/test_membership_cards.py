"""Member cards: what is prepared is what arrives, and the genesis made of them does not depend on order."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.datadir import DataDir
from config.errors import ConfigError
from node.chain_file import load_chain_seed
from node.keys import NodeKey, peer_id
from node.member_card import CARD_BYTES_MAX, CardError, MemberCard, card_from_text, card_to_text, load_card
from node.membership import (
    MembershipError,
    assemble_genesis,
    chain_path,
    membership_faults,
    pool_path,
    prepare_encoder,
    prepare_validator,
)
from node.pool import Pool
from protocol.chain import chain_tip
from protocol.genesis import EncoderMember, ValidatorMember
from protocol.modalities import IMAGE
from tests.support.genesis import small_network, text_items

ITEMS = text_items("m", 8)
ADDRESS = "/ip4/192.0.2.1/tcp/7700"
DIGESTS = st.binary(min_size=32, max_size=32)
POSITIVE = st.integers(1, 2**53 - 1)

CONTENT = small_network(items=8)[0].content

validators = st.builds(
    ValidatorMember,
    DIGESTS,
    POSITIVE,
    st.lists(st.text(min_size=1, max_size=30), max_size=8).map(tuple),
    DIGESTS,
    POSITIVE,
    DIGESTS,
)
cards = st.one_of(
    st.builds(MemberCard, validators, st.integers(1, 1 << 20)),
    st.builds(MemberCard, st.builds(EncoderMember, DIGESTS, POSITIVE)),
)


@given(cards)
def test_card__survives_its_text(card: MemberCard) -> None:
    assert card_from_text(card_to_text(card)) == card


@given(cards, st.data())
def test_card_without_a_field__is_refused_by_name(card: MemberCard, data: st.DataObject) -> None:
    document = json.loads(card_to_text(card))
    name = data.draw(st.sampled_from(sorted(document)))
    del document[name]
    with pytest.raises(CardError, match=name):
        card_from_text(json.dumps(document), "x.json")


@given(st.text(max_size=200))
def test_any_text__is_a_card_or_a_card_error(text: str) -> None:
    with pytest.raises(CardError):
        card_from_text(text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stake": 0}, "stake"),
        ({"stake": "many"}, "stake"),
        ({"stake": True}, "stake"),
        ({"public_key": "ab"}, "public_key"),
        ({"public_key": "AB" * 32}, "public_key must be hexadecimal"),
        ({"public_key": 7}, "public_key must be hexadecimal"),
        ({"stak": 1}, "did you mean 'stake'"),
        ({"role": "miner"}, "'validator' or 'encoder'"),
        ({"role": ["x"]}, "'validator' or 'encoder'"),
        ({"chain_length": 5}, "chain_length belongs to validators only"),
        ({"deltamesh_card": 2}, "version 2"),
    ],
)
def test_wrong_field__is_named(changes: dict[str, object], reason: str) -> None:
    document = json.loads(card_to_text(MemberCard(EncoderMember(bytes(32), 1)))) | changes
    with pytest.raises(CardError, match=reason):
        card_from_text(json.dumps(document), "x.json")


def test_card_file__is_bounded_and_must_be_text(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(b" " * (CARD_BYTES_MAX + 1))
    with pytest.raises(CardError, match="no card needs"):
        load_card(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match="not UTF-8"):
        load_card(path)
    with pytest.raises(CardError, match="does not exist"):
        load_card(tmp_path / "none")


def test_prepared_validator__commits_to_what_lies_in_its_directory(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    member = prepare_validator(directory, ITEMS, stake=7, addresses=[ADDRESS], chain_length=50)
    pool, seed = Pool.load(pool_path(directory)), load_chain_seed(chain_path(directory))
    assert (member.pool_root, member.pool_size, member.stake) == (pool.root, len(ITEMS), 7)
    assert member.chain_tip == chain_tip(seed, 50)
    assert member.addresses == (f"{ADDRESS}/p2p/{peer_id(member.public_key)}",)


def test_prepared_again__is_the_same_member_whatever_items_are_offered(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    first = prepare_validator(directory, ITEMS, stake=7, addresses=[], chain_length=50)
    before = {path: path.read_bytes() for path in directory.root.iterdir() if path.is_file()}

    def unread() -> list[bytes]:
        raise AssertionError("the pool is fixed: nobody reads the corpus again")

    assert prepare_validator(directory, unread, stake=7, addresses=[], chain_length=50) == first
    assert {path: path.read_bytes() for path in directory.root.iterdir() if path.is_file()} == before


def test_validator_of_another_modality__is_told_to_prepare_elsewhere(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    prepare_validator(directory, ITEMS, stake=7, addresses=[], chain_length=50)
    with pytest.raises(MembershipError, match="holds items of modality text, not image"):
        prepare_validator(directory, ITEMS, stake=7, addresses=[], chain_length=50, modality=IMAGE)


def test_interrupted_preparation__goes_on_with_what_is_there(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    pool = Pool.create(pool_path(directory), ITEMS)
    member = prepare_validator(directory, ITEMS[:2], stake=1, addresses=[], chain_length=4)
    assert member.pool_root == pool.root
    assert chain_path(directory).exists()


def test_encoder__is_not_prepared_in_a_validators_directory(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    prepare_validator(directory, ITEMS, stake=1, addresses=[], chain_length=4)
    with pytest.raises(MembershipError, match="another --home"):
        prepare_encoder(directory, stake=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stake": 0}, "stake"),
        ({"chain_length": 0}, "hash chain"),
        ({"addresses": ["nowhere"]}, "multiaddress"),
    ],
)
def test_unfit_validator__is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    arguments: dict[str, object] = {"stake": 1, "addresses": [], "chain_length": 4, **change}
    with pytest.raises(MembershipError, match=reason):
        prepare_validator(DataDir.open(tmp_path, "x"), ITEMS, **arguments)  # type: ignore[arg-type]


def test_wide_key__stops_the_preparation(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    prepare_encoder(directory, stake=1)
    directory.key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        prepare_encoder(directory, stake=1)


@given(st.integers(0, 2**32))
def test_genesis__does_not_depend_on_the_order_of_the_cards(seed: int) -> None:
    content = CONTENT
    shuffled_validators, shuffled_encoders = list(content.validators), list(content.encoders)
    random.Random(seed).shuffle(shuffled_validators)
    random.Random(seed + 1).shuffle(shuffled_encoders)
    made = assemble_genesis(
        content.name, content.parameters, shuffled_validators, shuffled_encoders, 5, content.nonce
    )
    assert list(made.validators) == [member.public_key for member in made.content.validators]
    assert (
        made.network_id
        == assemble_genesis(
            content.name, content.parameters, content.validators, content.encoders, 5, content.nonce
        ).network_id
    )


def test_unfit_cards__make_no_genesis() -> None:
    content = CONTENT
    parameters, some, others = content.parameters, content.validators, content.encoders
    nonce = bytes(32)
    off_curve = EncoderMember(b"\x02" + bytes(31), 1)
    for validators_, encoders_, changed, reason in [
        ([], others, parameters, "at least one validator"),
        (some, [], parameters, "at least one validator and one encoder"),
        ([*some, some[0]], others, parameters, "twice"),
        (some, [*others, off_curve], parameters, "no Ed25519 public key"),
        (some, others[:2], parameters, "needs 3 encoders"),
        (some, others, msgspec.structs.replace(parameters, encoders_min=8), "needs 8 encoders"),
    ]:
        with pytest.raises(MembershipError, match=reason):
            assemble_genesis("x", changed, validators_, encoders_, 0, nonce)
    hungry = msgspec.structs.replace(parameters, scored_items=10_000)
    with pytest.raises(MembershipError, match="more --data"):
        assemble_genesis("x", hungry, some, others, 0, nonce)


def test_directory_of_another_pool_or_chain__is_not_the_member(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "x")
    content = CONTENT
    member = prepare_validator(
        directory, ITEMS, stake=1, addresses=[], chain_length=content.parameters.chain_length
    )
    key = NodeKey(bytes.fromhex(directory.key.read_text()))
    genesis = assemble_genesis("x", content.parameters, [member], content.encoders, 0, bytes(32))
    assert membership_faults(directory, key, genesis) == []
    pool_path(directory).unlink()
    Pool.create(pool_path(directory), ITEMS[1:])
    chain_path(directory).write_text("00" * 32)
    assert [fault.split(" is not ")[0] for fault in membership_faults(directory, key, genesis)] == [
        "its pool of challenge items",
        "its hash chain",
    ]
