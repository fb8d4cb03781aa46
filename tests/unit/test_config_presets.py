"""Parameters of a new network: the presets, and changes an operator makes to them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.presets import PRESETS, changed_parameters, fitting, preset
from protocol.genesis import wave_fits
from protocol.modalities import MODALITIES

START = preset("localnet").parameters
NUMBERS = [
    name
    for name in START.__struct_fields__
    if isinstance(getattr(START, name), int) and name not in ("chain_length", "served_items_max")
]


@given(st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 2**53 - 1)))
def test_changed_parameters__are_the_preset_but_for_what_was_changed(changes: dict[str, int]) -> None:
    found = changed_parameters(START, [f"{name}={value}" for name, value in changes.items()])
    for name in START.__struct_fields__:
        assert getattr(found, name) == changes.get(name, getattr(START, name))


@given(
    st.text(max_size=40)
    | st.builds("{}={}".format, st.sampled_from(NUMBERS), st.integers(-1, 2**54) | st.text("0123456789e²"))
)
def test_any_change__is_taken_or_is_a_config_error(text: str) -> None:
    name, equals, value = text.partition("=")
    if equals and name in NUMBERS and value.isascii() and value.isdigit() and 0 < int(value) < 2**53:
        assert getattr(changed_parameters(START, [text]), name) == int(value)
        return
    with pytest.raises(ConfigError):
        changed_parameters(START, [text])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("slot_sm=8000", "did you mean 'slot_ms'"),
        ("slot_ms", "whole number|no parameter"),
        ("slot_ms=8s", "slot_ms is a whole number, not '8s'"),
        ("slot_ms=0", "slot_ms"),
        ("slot_ms=-1", "whole number"),
        ("slot_ms=9007199254740992", "slot_ms"),
        ("slot_ms=²", "whole number"),
        ("rule=", "rule"),
        ("chain_length=9", "cards"),
    ],
)
def test_wrong_change__is_refused_by_name(change: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        changed_parameters(START, [change])


def test_later_change__wins_over_an_earlier_one() -> None:
    assert changed_parameters(START, ["slot_ms=7", "slot_ms=8"]).slot_ms == 8


def test_presets__are_what_they_are_called() -> None:
    assert {name: one.name for name, one in PRESETS.items()} == {name: name for name in PRESETS}


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("name", PRESETS)
def test_fitting__every_preset_has_a_wave_that_fits_for_every_modality(name: str, modality: str) -> None:
    asked = changed_parameters(preset(name).parameters, [f"modality={modality}"])
    found = fitting(asked)
    assert wave_fits(found)
    assert found.scored_items == asked.scored_items
    assert found.served_items_max % 64 == 0
    if wave_fits(asked):
        assert found == asked
    else:
        one_block_more = msgspec.structs.replace(found, served_items_max=found.served_items_max + 64)
        assert not wave_fits(one_block_more)
        assert found.served_items_max >= 64


def test_fitting__pictures_and_sounds_of_the_testnet_are_fewer_than_its_texts() -> None:
    start = preset("testnet").parameters
    served = {
        modality: fitting(changed_parameters(start, [f"modality={modality}"])).served_items_max
        for modality in MODALITIES
    }
    assert served == {"text": 256, "image": 192, "audio": 64, "series": 256, "bytes": 256}


def test_fitting__leaves_what_was_asked_for_and_what_cannot_be_helped() -> None:
    start = preset("testnet").parameters
    asked = ["modality=image", "served_items_max=256"]
    assert fitting(changed_parameters(start, asked), asked).served_items_max == 256
    hopeless = changed_parameters(start, ["modality=image", "scored_items=2048"])
    assert not wave_fits(fitting(hopeless))
