"""Networks of sound, series and raw bytes: a file's certified embedding, verified at the client."""

from __future__ import annotations

import json
import signal
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from config.genesis import load_genesis
from node.client import Cache, Client, ClientError, InvalidRequestError, VerificationFailed
from node.encoders.built_in import encoder_names
from node.status import STATUS_FILE_NAME, read_status
from node.testnet.plan import NETWORK
from tests.support.cli import deltamesh
from tests.support.modality_files import FILES, in_base64, sound
from tests.support.testnet_process import assert_nothing_runs, end, start

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
STARTS_WITHIN_S = 240.0
"""On a machine with much else to do."""
UNTIL_ANSWERED_S = 120.0


@contextmanager
def running(folder: Path, modality: str) -> Iterator[str]:
    """A network of the modality's three encoders; the address of a validator's API."""
    models = [argument for name in encoder_names(modality) for argument in ("--model", name)]
    run = start(
        folder,
        *("--validators", "2", "--encoders", "3", "--cheaters", "0", "--modality", modality, *models),
    )
    try:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while (url := api_of(folder)) is None:
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline_s, "no validator serves its API"
            time.sleep(0.2)
        yield url
        run.send_signal(signal.SIGINT)
        ended = end(run, 60)
        assert "Traceback" not in ended.out + ended.err
    finally:
        run.kill()
        run.communicate()
        assert_nothing_runs(folder)


def api_of(folder: Path) -> str | None:
    status = read_status(folder / "net" / "validator-1" / NETWORK / STATUS_FILE_NAME)
    return None if status is None or status.api is None else f"http://{status.api}"


def by_http(url: str, *files: bytes) -> Any:
    body = {"input": [f"data:;base64,{in_base64(data)}" for data in files], "encoding_format": "base64"}
    request = Request(
        f"{url}/v1/embeddings", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urlopen(request, timeout=UNTIL_ANSWERED_S) as answer:
        return json.load(answer)


@pytest.mark.parametrize("modality", ["audio", "series", "bytes"])
def test_file__is_embedded_by_http_and_by_the_client_and_verified_there(
    tmp_path: Path, modality: str
) -> None:
    kinds = [kind for kind, (of, _) in FILES.items() if of == modality]
    files = [FILES[kind][1] for kind in kinds]
    with running(tmp_path, modality) as url:
        told = by_http(url, *files)
        vectors = [np.frombuffer(b64decode(row["embedding"]), "<f4") for row in told["data"]]
        assert all(vector.shape == (1024,) for vector in vectors)
        np.testing.assert_allclose([np.linalg.norm(vector) for vector in vectors], 1, rtol=1e-5)

        trusted = load_genesis(tmp_path / "net" / "genesis.json").network_id
        with Client(url, network_id=trusted, cache=Cache.NONE) as client:
            path = tmp_path / "file"
            path.write_bytes(files[0])
            found = client.embed_files([path, *files[1:]], verify=True, timeout_s=UNTIL_ANSWERED_S)
            assert [one.item_id for one in found.verified] == [
                bytes.fromhex(item["item_id"]) for item in told["deltamesh"]["items"]
            ]
            assert all(one.stake * 3 >= 2 * one.total_stake for one in found.verified)
            if found.space == told["deltamesh"]["space"]:
                assert np.stack(vectors).tobytes() == found.vectors.tobytes()
            where = ("--url", url, "--network-id", trusted.hex(), "--home", tmp_path / "nobody")
            by_command = deltamesh("embed", "--files", path, "--verify", "--json", *where)
            assert by_command.code == 0, by_command.err
            (row,) = by_command.json["embeddings"]
            assert (row["path"], bytes.fromhex(row["item_id"])) == (str(path), found.verified[0].item_id)
            assert by_command.json["verified"] is True
            # What is no file of the modality, or makes several items, is refused with a sentence.
            with pytest.raises(InvalidRequestError, match="input\\[0\\]: the file"):
                client.embed_files([sound(seconds=20.0) if modality == "audio" else b""])
            with pytest.raises(ClientError, match="file 0: it"):
                client.embed_files([b""], verify=True)
        other = FILES["CSV" if modality != "series" else "NPY"][1]
        with (
            Client(url, network_id=b"\1" * 32, cache=Cache.NONE) as client,
            pytest.raises(VerificationFailed),
        ):
            client.embed_files([other], verify=True)
