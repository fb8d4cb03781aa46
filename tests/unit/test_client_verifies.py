"""Verification at the client: what is certified passes, and no lie of the validator asked does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from node.certified import ITEM_CHECKS, Check, CheckStep
from node.client import Cache, Client, ClientError, Embeddings, NotFoundError, VerificationFailed
from node.shaping import transform_of
from protocol.certificates import make_certificate
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.epochs.learnt import moments_from
from protocol.epochs.view import Epoch
from protocol.items import item_id
from protocol.messages import Attestation, AttestationRef
from tests.support.genesis import small_network
from tests.support.lying_api import (
    BATCH,
    ITEM,
    POSITION,
    at,
    client_of,
    only_truth,
    refusal,
    shaped_once,
    verified,
)
from tests.support.told_by_api import (
    ITEMS,
    Batch,
    Lie,
    ToldByApi,
    base64_of,
    certified_record,
    make_batch,
    proof_of,
    world,
)

pytestmark = pytest.mark.usefixtures("shaped_once")
__all__ = ["shaped_once"]

# -- the truth ---------------------------------------------------------------------------------------------


def test_certified_embedding__passes_every_check_in_order() -> None:
    steps: list[CheckStep] = []
    with client_of(ToldByApi()) as client:
        found = client.verify_item(ITEM, on_step=steps.append)
    assert [step.check for step in steps] == list(ITEM_CHECKS)
    assert found.steps == tuple(steps)
    only_truth(lambda _, answer: answer)
    assert (found.stake, found.total_stake, found.space_epoch) == (400, 400, 3)
    assert found.difference is not None
    assert found.difference < 1e-6


@pytest.mark.parametrize("space", ["raw", "0", "1", "2", "3"])
def test_vector_of_any_space__is_shaped_again_and_compared(space: str) -> None:
    found = verified(lambda _, answer: answer, space)
    assert found.space_epoch == (None if space == "raw" else int(space))


def test_embedded_texts__are_verified_one_by_one() -> None:
    texts = [item.decode() for batch in world().batches for item in batch.items[:2]]
    with client_of(ToldByApi()) as client:
        found = client.embed(texts, verify=True)
    assert found.vectors.shape == (4, 1024)
    assert [one.item_id for one in found.verified] == [item_id(text.encode()) for text in texts]
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


def test_content_that_is_kept_no_longer__leaves_out_its_check_alone() -> None:
    found = verified(at("/content", lambda _: None))
    assert [step.check for step in found.steps] == [one for one in ITEM_CHECKS if one is not Check.ITEM]


def test_nothing_to_trust__is_said() -> None:
    with (
        Client("http://validator.test", transport=httpx.MockTransport(ToldByApi())) as client,
        pytest.raises(ClientError, match="which network you trust"),
    ):
        client.verify_item(ITEM)


# -- lies, one by one --------------------------------------------------------------------------------------


def test_vector_of_another_item__is_refused() -> None:
    other = item_id(BATCH.items[4])
    shaped = base64_of(world().shaped(other, 3).tobytes())
    lie = at(ITEM.hex(), lambda answer: {**answer, "embedding": {**answer["embedding"], "vector": shaped}})
    assert refusal(lie) is Check.VECTOR
    raw = base64_of(BATCH.vectors[4].tobytes())
    lie = at(ITEM.hex(), lambda answer: {**answer, "embedding": {**answer["embedding"], "vector": raw}})
    assert refusal(lie, "raw") is Check.VECTOR
    assert refusal(at("/proof", lambda answer: {**answer, "vector": raw})) is Check.PROOF


def test_proof_of_another_item_under_this_name__is_refused() -> None:
    other = proof_of(world(), item_id(BATCH.items[4]))
    assert refusal(at("/proof", lambda _: other)) is Check.PROOF
    assert refusal(at("/proof", lambda _: {**other, "item_id": ITEM.hex()})) is Check.PROOF


def test_content_that_is_another__is_refused() -> None:
    assert refusal(at("/content", lambda _: BATCH.items[4])) is Check.ITEM


def test_genesis_of_another_network__is_refused() -> None:
    other, _, _ = small_network(seed="b")
    assert refusal(at("/genesis", lambda _: other.data)) is Check.NETWORK


def test_network_that_is_another_but_holds_together__is_refused() -> None:
    elsewhere = ToldByApi(world=world("b"))
    with client_of(elsewhere) as client, pytest.raises(VerificationFailed, match="which you trust") as failed:
        client.verify_item(ITEM, space="raw")
    assert failed.value.check is Check.NETWORK
    with Client(
        "http://validator.test",
        network_id=world("b").network_id,
        cache=Cache.NONE,
        transport=httpx.MockTransport(elsewhere),
    ) as client:
        assert client.verify_item(ITEM, space="raw").network_id == world("b").network_id


def told_by(batch: Batch, **changes: Any) -> Lie:
    """A server that tells of another batch with the same items."""
    told = {
        **proof_of(world(), ITEM),
        "vector": base64_of(batch.vectors[POSITION].tobytes()),
        "merkle_proof": [sibling.hex() for sibling in batch.tree.proof(POSITION)],
        "header": base64_of(batch.header.data),
        "certificate": base64_of(encode(batch.certificate)),
        **changes,
    }

    def lie(path: str, answer: Any) -> Any:
        if path.endswith("/proof"):
            return told
        return {**answer, "certificate": batch.header.digest.hex()} if path.endswith(ITEM.hex()) else answer

    return lie


def false_batch() -> Batch:
    there = world()
    vectors = BATCH.vectors[::-1].copy()
    return make_batch(there.genesis, there.seeds, there.epochs[3], list(BATCH.items), vectors)


def test_report_of_another_dealer__is_refused_though_all_attest_it() -> None:
    there = world()
    other = next(key for key in there.epochs[3].validators if key != BATCH.header.signer)
    header = there.sign(other, BATCH.header.body)
    votes = [
        there.sign(key, Attestation(header.body.at, header.digest)) for key in there.epochs[3].validators
    ]
    certificate = make_certificate(header.body.at, header.digest, votes)
    batch = dataclasses.replace(BATCH, header=header, certificate=certificate)
    assert refusal(told_by(batch)) is Check.HEADER


def test_certificate_of_another_report__is_refused() -> None:
    honest = base64_of(encode(BATCH.certificate))
    assert refusal(told_by(false_batch(), certificate=honest)) is Check.CERTIFICATE


def test_report_that_is_not_the_one_named__is_refused() -> None:
    assert refusal(at(ITEM.hex(), lambda answer: {**answer, "certificate": "ab" * 32})) is Check.HEADER


def test_batch_of_another_size__is_refused() -> None:
    assert refusal(at("/proof", lambda answer: {**answer, "items": ITEMS + 1})) is Check.PROOF


def test_moments_and_vector_that_fit_each_other__are_refused_where_no_record_names_them() -> None:
    moments = moments_from(world().learnt.moments)
    false = encode(
        msgspec.structs.replace(
            moments, uncentred=msgspec.structs.replace(moments.uncentred, total=bytes(8 * 1024))
        )
    )
    shaped = transform_of(moments_from(false)).place(BATCH.vectors[POSITION : POSITION + 1], True)[0]

    def lie(path: str, answer: Any) -> Any:
        if path.endswith("/moments"):
            return false
        if path.endswith(ITEM.hex()):
            return {**answer, "embedding": {**answer["embedding"], "vector": base64_of(shaped.tobytes())}}
        return answer

    with pytest.raises(VerificationFailed, match="not the moments of epoch 3"):
        verified(lie)


def test_false_report_that_less_than_two_thirds_attest__is_refused() -> None:
    false = false_batch()
    votes = false.certificate.attestations
    for attestations in (votes[:2], (), (*votes[:2], votes[1]), BATCH.certificate.attestations):
        certificate = msgspec.structs.replace(false.certificate, attestations=attestations)
        lie = told_by(false, certificate=base64_of(encode(certificate)))
        assert refusal(lie) is Check.CERTIFICATE


def test_record_of_strangers__is_refused() -> None:
    there = world()
    stranger, people, _ = small_network(seed="b")
    forged = {person.key: person.seed for person in people}
    honest = there.records[1]
    votes = certified_record(there.genesis, forged, Epoch.first(stranger), there.epochs[1]).certificate
    assert refusal(at("/1/record", lambda _: encode(CertifiedRecord(honest.record, votes)))) is Check.EPOCH
    few = msgspec.structs.replace(honest.certificate, precommits=honest.certificate.precommits[:2])
    assert refusal(at("/1/record", lambda _: encode(CertifiedRecord(honest.record, few)))) is Check.EPOCH
    copied = tuple(
        AttestationRef(one.validator, honest.certificate.precommits[0].signature)
        for one in honest.certificate.precommits
    )
    same = msgspec.structs.replace(honest.certificate, precommits=copied)
    assert refusal(at("/1/record", lambda _: encode(CertifiedRecord(honest.record, same)))) is Check.EPOCH


def test_record_that_is_another__is_refused() -> None:
    records = world().records
    for end, other in (("/1/record", 2), ("/2/record", 1), ("/3/record", 2)):
        assert refusal(at(end, lambda _, other=other: encode(records[other]))) is Check.EPOCH


def test_moments_that_are_others__are_refused() -> None:
    assert refusal(at("/moments", lambda answer: answer[:-1] + b"\x01")) is Check.VECTOR
    assert refusal(at("/moments", lambda _: b"")) is Check.VECTOR


def test_space_that_the_vector_is_not_of__is_refused() -> None:
    for space in ("epoch 0", "epoch 1", "raw"):
        lie = at(
            ITEM.hex(), lambda answer, s=space: {**answer, "embedding": {**answer["embedding"], "space": s}}
        )
        assert refusal(lie) is Check.VECTOR
    lie = at(
        ITEM.hex(), lambda answer: {**answer, "embedding": {**answer["embedding"], "space": "epoch 70000"}}
    )
    assert refusal(lie) is Check.EPOCH
    lie = at(
        ITEM.hex(), lambda answer: {**answer, "embedding": {**answer["embedding"], "space": "epoch 60000"}}
    )
    with pytest.raises(NotFoundError):
        verified(lie)


def test_text_that_was_not_asked_for__is_refused() -> None:
    asked, other = world().text, BATCH.items[4].decode()

    def embed(lie: Lie) -> Embeddings:
        with client_of(ToldByApi(lie=lie)) as client:
            return client.embed([asked], verify=True)

    elsewhere = ToldByApi().embeddings([other])
    with pytest.raises(VerificationFailed):
        embed(at("/embeddings", lambda _: elsewhere))
    network = {"deltamesh": {**elsewhere["deltamesh"], "network_id": "00" * 32}}
    with pytest.raises(ClientError, match="another network"):
        embed(at("/embeddings", lambda answer: {**ToldByApi().embeddings([asked]), **network}))


def test_proofs_of_all_items__differ_and_hold() -> None:
    with client_of(ToldByApi()) as client:
        found = [client.verify_item(item_id(item), space="raw") for item in BATCH.items]
    assert [one.position for one in found] == list(range(ITEMS))


# -- what is kept ------------------------------------------------------------------------------------------


def asked_with(folder: Path, told: ToldByApi, space: str = "newest") -> list[str]:
    """Paths of what a new client with this folder asks for, beside the item."""
    with client_of(told, folder) as client:
        client.verify_item(ITEM, space=space)
    return [path for path in told.paths if "items" not in path]


def test_second_client__fetches_nothing_that_is_known(tmp_path: Path) -> None:
    records = [f"/v1/epochs/{number}/record" for number in (1, 2, 3)]
    assert asked_with(tmp_path, ToldByApi()) == ["/v1/genesis", *records, "/v1/epochs/3/moments"]
    assert asked_with(tmp_path, ToldByApi()) == []


def test_older_epoch__is_fetched_again_and_known_by_its_digest(tmp_path: Path) -> None:
    asked_with(tmp_path, ToldByApi(), "raw")
    assert asked_with(tmp_path, ToldByApi(), "2") == ["/v1/epochs/2/record", "/v1/epochs/2/moments"]
    told = ToldByApi(lie=at("/2/record", lambda _: encode(world().records[1])))
    with pytest.raises(VerificationFailed, match="not the record of epoch 2"):
        asked_with(tmp_path, told, "2")


def test_damaged_cache__is_fetched_anew(tmp_path: Path) -> None:
    asked_with(tmp_path, ToldByApi())
    (folder,) = tmp_path.iterdir()
    whole = (folder / "chain").read_bytes()
    for data in (b"", whole[:-1], whole[:40] + b"x" + whole[41:], whole[:33]):
        (folder / "chain").write_bytes(data)
        (moments,) = folder.glob("moments-*")
        moments.write_bytes(data)
        assert len(asked_with(tmp_path, ToldByApi())) == 5
    assert sorted(path.name[:7] for path in folder.iterdir()) == ["chain", "moments"]


def test_cache_that_cannot_be_written__is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    assert len(asked_with(tmp_path / "file", ToldByApi())) == 5
