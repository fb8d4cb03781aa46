"""POST /v1/embeddings of sound, series, images and bytes: files are items, hostile ones get a sentence."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from node.api.app import make_guarded_app
from node.api.embedding.limits import FILE_BYTES_MAX
from node.api.guard.limits import FILE_COST, Limits, Rate
from node.api.service import Service
from node.encoders.built_in import REFERENCES
from node.modalities import audio_file, items_of_file, series_file
from node.modalities.audio_item import decode_audio
from node.modalities.series_item import decode_series
from node.store import Store
from protocol.genesis import Genesis
from protocol.items import item_id
from protocol.modalities import BYTES, MODALITIES
from protocol.report import DIMENSIONS
from tests.support.api import guarded_client, service_over
from tests.support.certifier import Certifier
from tests.support.genesis import small_network
from tests.support.hostile_files import ATTACKS, Attack
from tests.support.modality_files import FILES, OF, WALK, csv, in_base64, npy, parquet, sound

NO_FILES = {"folder", "pipe", "socket", "device", "loop", "nowhere", "sparse", "sparse.png"}
"""What a client cannot send: it sends bytes, and not gigabytes of them."""
REGULAR = [attack for attack in ATTACKS if attack.name not in NO_FILES]


@cache
def genesis_of(modality: str) -> Genesis:
    return small_network(modality=modality, reference_encoder=REFERENCES[modality])[0]


@contextmanager
def network_of(root: Path, modality: str) -> Iterator[tuple[Certifier, TestClient]]:
    with (
        service_over(root) as service,
        Store.open(service.directory.store, service.directory.blobs) as store,
    ):
        service = replace(service, genesis=genesis_of(modality))
        yield Certifier(service, store), guarded_client(service)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For tests in which nothing is queued; they say of which modality."""
    with service_over(tmp_path_factory.mktemp("refusing")) as service:
        yield service


def refused(service: Service, modality: str, *given: str) -> Mapping[str, Any]:
    """The error of a request that leaves nothing behind: a 400."""
    answer = ask(guarded_client(replace(service, genesis=genesis_of(modality))), *given)
    assert answer.status_code == 400, answer.text
    assert service.store.pending(9) == []
    error: Mapping[str, Any] = answer.json()["error"]
    return error


def ask(client: TestClient, *given: str, **more: Any) -> Any:
    body = {"input": list(given), "model": "deltamesh", **more}
    return client.post("/v1/embeddings", json=body, headers={"Prefer": "wait=0"})


def item_of(modality: str, data: bytes, folder: Path) -> bytes:
    path = folder / "file"
    path.write_bytes(data)
    (item,) = items_of_file(modality, path)
    return item


@pytest.mark.parametrize("kind", FILES)
def test_file__is_queued_as_its_item_once_as_data_url_and_as_base64(tmp_path: Path, kind: str) -> None:
    modality, data = FILES[kind]
    with network_of(tmp_path / "home", modality) as (certifier, client):
        answer = ask(client, f"data:application/octet-stream;base64,{in_base64(data)}", in_base64(data))
        assert answer.json()["error"]["code"] == "not_certified_in_time", answer.text
        (queued,) = certifier.store.pending(9)
    assert queued.content == item_of(modality, data, tmp_path)
    assert queued.modality == modality
    assert queued.item_id == item_id(queued.content)


def test_sound__is_the_same_item_from_wav_and_flac_and_sounds_as_it_did(tmp_path: Path) -> None:
    with network_of(tmp_path, "audio") as (certifier, client):
        ask(client, in_base64(sound("WAV")), in_base64(sound("FLAC")))
        (queued,) = certifier.store.pending(9)
    assert queued.content is not None
    heard = decode_audio(queued.content)[:24_000]
    times_s = np.arange(24_000) / 16_000
    played = sum(np.sin(2 * np.pi * hz * times_s) for hz in (220, 663, 1_109)) * np.exp(-times_s) / 4
    assert np.abs(heard - played).max() < 0.002


def test_series__is_the_same_item_from_csv_npy_and_parquet_in_standard_deviations(tmp_path: Path) -> None:
    with network_of(tmp_path, "series") as (certifier, client):
        ask(client, *(in_base64(data) for data in (csv(), npy(), parquet())))
        (queued,) = certifier.store.pending(9)
    assert queued.content is not None
    np.testing.assert_allclose(decode_series(queued.content), (WALK - WALK.mean(0)) / WALK.std(0), atol=2e-4)


def test_raw_bytes__are_the_item_themselves(tmp_path: Path) -> None:
    with network_of(tmp_path, "bytes") as (certifier, client):
        for data in (b"x", bytes(range(256)) * 32):
            assert ask(client, in_base64(data)).status_code == 504
            assert certifier.store.item(item_id(data)) is not None


@pytest.mark.parametrize("modality", OF)
def test_certified_file__is_answered_at_once_with_its_certificate(tmp_path: Path, modality: str) -> None:
    data = FILES[OF[modality]][1]
    vector = np.random.default_rng(1).standard_normal(DIMENSIONS).astype(np.float32) / 32
    item = item_of(modality, data, tmp_path)
    with network_of(tmp_path / "home", modality) as (certifier, client):
        report = certifier.certify_items({item_id(item): vector})
        answer = ask(client, in_base64(data), encoding_format="base64")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    (place,) = told["deltamesh"]["items"]
    assert (place["item_id"], place["certificate"]) == (item_id(item).hex(), report.hex())
    assert place["served"] == "repeat"
    assert told["usage"]["prompt_tokens"] == len(MODALITIES[modality].unit_sizes(item))
    found = np.frombuffer(base64.b64decode(told["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(found, vector / np.linalg.norm(vector.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize("attack", REGULAR, ids=lambda attack: attack.name)
def test_hostile_file__is_refused_by_its_index_and_says_why(
    tmp_path: Path, refusing: Service, attack: Attack
) -> None:
    path = tmp_path / attack.name
    attack.write(path)
    if path.stat().st_size > FILE_BYTES_MAX:
        client = guarded_client(replace(refusing, genesis=genesis_of(attack.modality)))
        assert ask(client, in_base64(path.read_bytes())).status_code == 413
        return
    error = refused(
        refusing, attack.modality, in_base64(FILES[OF[attack.modality]][1]), in_base64(path.read_bytes())
    )
    assert error["param"] == "input[1]"
    assert error["message"].startswith("input[1]: the file ")
    assert len(error["message"].rsplit(": ", 1)[-1]) > 8
    assert "deltamesh-input" not in error["message"]


@pytest.mark.parametrize(
    ("modality", "data", "count"),
    [
        ("audio", sound(seconds=2.6), "2"),
        ("audio", sound("FLAC", seconds=70.0, rate_hz=4_000), "34"),
        ("series", npy(np.cumsum(WALK.repeat(2, axis=0), axis=0)), "2"),
        ("bytes", b"x" * (BYTES.item_bytes_max + 1), "2"),
    ],
)
def test_file_of_several_items__is_refused_before_any_is_made(
    refusing: Service, monkeypatch: pytest.MonkeyPatch, modality: str, data: bytes, count: str
) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("an item was made")

    monkeypatch.setattr(audio_file, "encode_audio", never)
    monkeypatch.setattr(series_file, "encode_series", never)
    error = refused(refusing, modality, in_base64(data))
    assert error["param"] == "input[0]"
    assert f"makes {count} items and an input is one" in error["message"]
    assert "deltamesh submit" in error["message"]


@pytest.mark.parametrize("modality", ["audio", "series", "bytes"])
@pytest.mark.parametrize("given", ["a plain sentence", "data:audio/wav,raw", "data:;base64,!!", "QUJD\nRA=="])
def test_input_that_is_no_base64__is_told_how_to_send_it(
    refusing: Service, modality: str, given: str
) -> None:
    error = refused(refusing, modality, given)
    assert error["param"] == "input[0]"
    assert f"this network embeds {modality}" in error["message"]
    assert "base64" in error["message"]


def test_token_numbers__are_refused_where_no_text_is_embedded_too(refusing: Service) -> None:
    client = guarded_client(replace(refusing, genesis=genesis_of("bytes")))
    answer = client.post("/v1/embeddings", json={"input": [72, 105]}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "tokens_not_supported")


def test_files__cost_more_than_texts_as_reading_them_does(refusing: Service) -> None:
    limits = Limits(local=Rate(0.001, 2 * FILE_COST + 8), stranger=Rate(0.001, 2 * FILE_COST + 8))
    served = replace(refusing, genesis=genesis_of("bytes"))
    client = TestClient(make_guarded_app(served, limits=limits), base_url="http://127.0.0.1:7780")
    assert ask(client, "no base64!", "nor this!").status_code == 400
    answer = ask(client, "no base64!")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) > 0
