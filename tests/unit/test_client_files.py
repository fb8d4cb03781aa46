"""The client's side of files: what it sends, and what it believes of the item a server names for a file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.client import ClientError, NotFoundError, VerificationFailed
from node.client.call import Call, Flow
from node.client.files import (
    FILE_BYTES_MAX,
    ROUNDING_MAX,
    differs_by_rounding,
    inputs_of,
    items_of,
    read_files,
    same_item,
)
from protocol.items import item_id
from tests.support.modality_files import FILES, OF, in_base64, sound


def answered(flow: Flow[bytes], answer: Callable[[Call[Any]], bytes]) -> bytes:
    """What comes of a flow whose calls are answered so."""
    try:
        step = next(flow)
        while True:
            assert isinstance(step, Call)
            try:
                step = flow.send(answer(step))
            except NotFoundError as error:
                step = flow.throw(error)
    except StopIteration as end:
        result: bytes = end.value
        return result


def never(call: Call[Any]) -> bytes:
    raise AssertionError(f"asked {call.path}")


def moved(item: bytes, modality: str, steps: int) -> bytes:
    """An item with its first value so many steps away."""
    kind = "<h" if ROUNDING_MAX[modality][1] == "<i2" else "B"
    (value,) = struct.unpack_from(kind, item, 4)
    data = bytearray(item)
    struct.pack_into(kind, data, 4, value + steps if value < 128 else value - steps)
    return bytes(data)


def items() -> dict[str, bytes]:
    return {modality: items_of(modality, [FILES[kind][1]])[0] for modality, kind in OF.items()}


def test_files__are_sent_in_base64_from_paths_and_bytes_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(sound())
    data = read_files([path, sound()])
    assert inputs_of(data) == [in_base64(sound())] * 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([Path("/nowhere/at/all.wav")], "cannot be read"),
        ([bytes(FILE_BYTES_MAX + 1)], "file 0 is over 3,100,000 bytes"),
        (b"RIFF", "takes a list"),
        (Path("a.wav"), "takes a list"),
    ],
)
def test_what_is_no_file__is_said_before_anything_is_asked(given: Any, says: str) -> None:
    with pytest.raises(ClientError, match=says):
        read_files(given)


@pytest.mark.parametrize(
    ("modality", "data", "says"),
    [
        ("text", b"words", "use `embed`"),
        ("audio", b"no sound", "file 0: it is text, not a sound"),
        ("audio", sound(seconds=9.0), "file 0: it makes 5 items"),
        ("bytes", b"", "file 0: it is empty"),
    ],
)
def test_file_that_makes_no_item__is_said(modality: str, data: bytes, says: str) -> None:
    with pytest.raises(ClientError, match=says):
        items_of(modality, [data])


def test_item_of_the_file_itself__is_believed_without_a_question() -> None:
    for modality, item in items().items():
        assert answered(same_item(0, modality, item, item_id(item)), never) == item


@pytest.mark.parametrize("modality", ROUNDING_MAX)
def test_item_of_another_machine__is_believed_within_its_rounding_alone(modality: str) -> None:
    own, steps_max = items()[modality], ROUNDING_MAX[modality][0]
    near, far = moved(own, modality, steps_max), moved(own, modality, steps_max + 1)
    assert near != own
    assert answered(same_item(0, modality, own, item_id(near)), lambda _: near) == near
    with pytest.raises(VerificationFailed, match="file 3 is not made of that file"):
        answered(same_item(3, modality, own, item_id(far)), lambda _: far)


def test_content_that_is_not_the_item_named__is_refused() -> None:
    own = items()["audio"]
    near, named = moved(own, "audio", 1), item_id(moved(own, "audio", 2))
    with pytest.raises(VerificationFailed):
        answered(same_item(0, "audio", own, named), lambda _: near)

    def unknown(_: Call[Any]) -> bytes:
        raise NotFoundError("there is no such item", status=404)

    with pytest.raises(VerificationFailed):
        answered(same_item(0, "audio", own, named), unknown)


def test_items_of_other_shapes_or_raw_bytes__never_differ_by_rounding() -> None:
    own = items()["series"]
    assert not differs_by_rounding("series", own, own[:-2])
    assert not differs_by_rounding("series", own, b"\x00\x08" + own[2:])
    assert not differs_by_rounding("bytes", b"abcd0", b"abcd1")
    assert not differs_by_rounding("audio", own, b"")
