"""The genesis file: what is written reads back to the same network, and every mistake names its field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.genesis import GenesisFileError, genesis_from_text, genesis_to_text, load_genesis, save_genesis
from config.presets import PRESETS, preset, preset_for
from protocol.genesis import EncoderMember, Genesis, GenesisContent, NetworkParameters, ValidatorMember
from protocol.signatures import public_key

Document = dict[str, Any]


def validator(number: int, stake: int = 100) -> ValidatorMember:
    return ValidatorMember(
        public_key=public_key(number.to_bytes(32, "big")),
        stake=stake,
        addresses=("/ip4/127.0.0.1/tcp/7700",),
        pool_root=bytes([number]) * 32,
        pool_size=1_000,
        chain_tip=bytes([number + 1]) * 32,
    )


def network(
    validators: int = 2, encoders: int = 3, name: str = "test", nonce: bytes = bytes(32), stake: int = 1
) -> Genesis:
    return Genesis(
        GenesisContent(
            name=name,
            nonce=nonce,
            genesis_time_ms=1_700_000_000_000,
            parameters=PRESETS["localnet"].parameters,
            validators=tuple(validator(number) for number in range(1, validators + 1)),
            encoders=tuple(
                EncoderMember(public_key(number.to_bytes(32, "big")), stake)
                for number in range(100, 100 + encoders)
            ),
            bonds=(),
        )
    )


def changed(change: Callable[[Document], object]) -> str:
    """The refusal of a genesis file after one change to its JSON."""
    document = json.loads(genesis_to_text(network()))
    change(document)
    with pytest.raises(GenesisFileError) as caught:
        genesis_from_text(json.dumps(document), "genesis.json")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("genesis.json")
    return message


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.text(min_size=1, max_size=40),
    st.binary(min_size=32, max_size=32),
    st.integers(1, 2**53 - 1),
)
def test_file__reads_back_to_the_same_network(
    validators: int, encoders: int, name: str, nonce: bytes, stake: int
) -> None:
    genesis = network(validators, encoders, name, nonce, stake)
    back = genesis_from_text(genesis_to_text(genesis))
    assert back.data == genesis.data
    assert back.network_id == genesis.network_id


def test_file__holds_every_field_of_the_parameters_by_name() -> None:
    document = json.loads(genesis_to_text(network()))
    assert list(document["parameters"]) == [field.name for field in msgspec.structs.fields(NetworkParameters)]
    assert document["network_id"] == network().network_id.hex()


def test_network_id__may_be_left_out_of_a_file_written_by_hand() -> None:
    document = json.loads(genesis_to_text(network()))
    del document["network_id"]
    assert genesis_from_text(json.dumps(document)).network_id == network().network_id


def test_edited_file__is_refused_because_it_is_another_network() -> None:
    message = changed(lambda d: d["parameters"].update(slot_ms=14_999))
    assert f"says it is network {network().network_id.hex()}" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["parameters"].update(slot_ms=0), "parameters.slot_ms: 0 is refused"),
        (lambda d: d["parameters"].update(slot_ms="15000"), "parameters.slot_ms: '15000' is refused"),
        (lambda d: d["parameters"].update(slot_ms=True), "parameters.slot_ms: True is refused"),
        (lambda d: d["parameters"].update(slot_ms=1.5), "parameters.slot_ms: 1.5 is refused"),
        (lambda d: d["parameters"].update(slot_ms=2**53), "parameters.slot_ms"),
        (lambda d: d["parameters"].pop("slot_ms"), "parameters.slot_ms: is missing"),
        (lambda d: d["parameters"].update(slots_ms=1), "did you mean 'slot_ms'?"),
        (lambda d: d.update(encoder=d.pop("encoders")), "encoder: no such field; did you mean 'encoders'?"),
        (lambda d: d["validators"][1].update(public_key="zz" * 32), "validators.1.public_key: 'zz"),
        (lambda d: d["validators"][1].update(public_key="ab" * 31), "has 31 bytes, and must have 32"),
        (lambda d: d["validators"][0].update(chain_tip=7), "hexadecimal digits between quotes"),
        (lambda d: d["encoders"][2].update(stake=0), "encoders.2.stake"),
        (lambda d: d.update(encoders=[]), "encoders"),
        (lambda d: d["encoders"].append(d["encoders"][0]), "a key appears twice"),
        (lambda d: d["parameters"].update(chain_length=1), "chain_length is shorter"),
        (lambda d: d.update(network_id=None, name=""), "name: '' is refused"),
    ],
)
def test_mistake__names_the_field_and_what_is_wrong(change: Callable[[Document], object], words: str) -> None:
    assert words in changed(change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is not JSON"),
        ('{"name": 1,\n}', "line 2 is not JSON"),
        ("[]", "must hold one JSON object"),
        ('{"name": "a", "name": "b"}', "'name' is there twice"),
        ("[" * 100_000, "not"),
        ("{}", "is missing"),
    ],
)
def test_text_that_is_no_genesis__is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(GenesisFileError, match=words) as caught:
        genesis_from_text(text, "x.json")
    assert str(caught.value).startswith("x.json")


def test_saved_file__loads_and_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    save_genesis(path, network(name="first"))
    save_genesis(path, network(name="second"))
    assert load_genesis(path).content.name == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["genesis.json"]


def test_failed_save__keeps_the_old_file_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "genesis.json"
    save_genesis(path, network(name="first"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(GenesisFileError, match="the disk is full"):
        save_genesis(path, network(name="second"))
    assert load_genesis(path).content.name == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["genesis.json"]


def test_missing_file__says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(GenesisFileError, match="deltamesh genesis create"):
        load_genesis(tmp_path / "genesis.json")


def test_directory_or_binary_in_place_of_the_file__is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenesisFileError, match="it is a directory"):
        load_genesis(tmp_path)
    (tmp_path / "x").write_bytes(b"\xff\x00")
    with pytest.raises(GenesisFileError, match="not UTF-8"):
        load_genesis(tmp_path / "x")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset__makes_a_network_whose_genesis_reads_back(name: str) -> None:
    content = msgspec.structs.replace(network().content, parameters=preset(name).parameters)
    assert genesis_from_text(genesis_to_text(Genesis(content))).parameters == preset(name).parameters
    assert preset_for(name) is preset(name)


def test_unknown_preset__is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'testnet'"):
        preset("tesnet")
