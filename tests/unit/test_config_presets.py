"""Parameters of a new network: the presets, and changes an operator makes to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.presets import PRESETS, changed_parameters, preset

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
