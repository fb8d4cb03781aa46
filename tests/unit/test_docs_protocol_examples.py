"""The Python of docs/protocol.md: a second implementation, executed and held against the vectors.

Nothing of it comes from the packages: what it computes follows from the text, `blake3` and `pynacl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.certificate_vectors import document
from tests.support.documents import ROOT
from tests.support.page_code import Block, executed_blocks, run_all

PAGE = "docs/protocol.md"
BLOCKS = executed_blocks(PAGE)
VECTORS = ROOT / "tests" / "vectors"
REFUSAL = ValueError
"""What the page raises for whatever does not hold."""


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@cache
def _names() -> dict[str, Any]:
    return run_all(BLOCKS)


@pytest.fixture
def page() -> Any:
    """What the blocks define."""
    return SimpleNamespace(**_names())


def vector(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def test_blocks__need_no_package_of_the_project() -> None:
    assert len(BLOCKS) > 8
    assert set().union(*(block.imported for block in BLOCKS)) == {"blake3", "json", "nacl"}


def _wrong() -> Iterator[tuple[int, Block]]:
    return ((place, wrong) for place, block in enumerate(BLOCKS) for wrong in block.with_one_digit_wrong())


def test_blocks__fail_wherever_one_digit_of_a_hex_number_is_wrong() -> None:
    tried = 0
    names: dict[str, Any] = {}
    wrong: dict[int, list[Block]] = {}
    for place, block in _wrong():
        wrong.setdefault(place, []).append(block)
    for place, block in enumerate(BLOCKS):
        for changed in wrong.get(place, ()):
            with pytest.raises((AssertionError, ValueError)):
                changed.run(dict(names))
            tried += 1
        block.run(names)
    assert tried >= 12


def test_encoding__of_the_page_reads_and_writes_every_vector(page: Any) -> None:
    for row in vector("messages"):
        assert page.pack(page.unpack(raw(row["envelope"]))).hex() == row["envelope"]
    for data in (
        b"\xcc\x05",
        b"\x05\x00",
        b"\xc0",
        b"\xff",
        b"\xdc\x00\x00",
        b"\x91" * 9 + b"\x01",
        b"\xa1\xff",
    ):
        with pytest.raises(REFUSAL):
            page.unpack(data)


def test_digests_and_draws__of_the_page_are_those_of_the_vectors(page: Any) -> None:
    hashing = vector("hashing")
    for row in hashing["digest"]:
        assert page.digest(row["domain"], *map(raw, row["parts"])).hex() == row["digest"]
    for row in hashing["stream"]:
        stream = page.Stream(raw(row["key"]), row["domain"])
        assert [stream.below(limit) for limit in row["limits"]] == row["below"]
    for row in vector("chain"):
        assert page.link(raw(row["preimage"]), row["depth"]).hex() == row["tip"]


def test_statements__of_every_kind_are_verified_by_the_page(page: Any) -> None:
    for row in vector("messages"):
        network_id, envelope = raw(row["network_id"]), raw(row["envelope"])
        kind, signer, _, name = page.read(envelope, network_id)
        assert (kind, signer.hex(), name.hex()) == (row["kind"], row["signer"], row["digest"])
        for wrong in (envelope[:-1] + bytes([envelope[-1] ^ 1]), envelope + b"\x00"):
            with pytest.raises(REFUSAL):
                page.read(wrong, network_id)
        with pytest.raises(REFUSAL):
            page.read(envelope, bytes(32))


def test_merkle_proofs__are_verified_by_the_page(page: Any) -> None:
    for row in vector("merkle"):
        root, index, count = raw(row["root"]), row["index"], len(row["leaves"])
        leaf, proof = raw(row["leaves"][index]), [raw(sibling) for sibling in row["proof"]]
        assert page.verify_merkle(root, leaf, index, count, proof)
        assert not page.verify_merkle(root, leaf + b"x", index, count, proof)
        assert not page.verify_merkle(root, leaf, index, count + 1, proof)
        assert not page.verify_merkle(root, leaf, index, count, [*proof, bytes(32)])


def test_schedule__of_the_page_is_that_of_the_vectors(page: Any) -> None:
    sampling = vector("sampling")
    stakes = [(raw(key), stake) for key, stake in sampling["stakes"]]
    for row in sampling["draws"]:
        seed, place = raw(row["seed"]), (row["round"], row["shard"])
        assert page.draw_dealer(seed, *place, stakes).hex() == row["dealer"]
        assert [key.hex() for key in page.draw_shard(seed, *place, stakes, row["size"])] == row["members"]


def test_every_part_of_a_round__follows_from_genesis_by_the_page(page: Any) -> None:
    told = vector("schedule")
    members = page.unpack(raw(told["genesis"]))
    network_id = page.digest("genesis", raw(told["genesis"]))
    assert network_id.hex() == told["network_id"]
    parameters, validators = members[3], sorted(members[4])
    epoch_rounds, shards, shard_size, scored = parameters[2:6]
    sampled = [(key, page.sampled_by(stake, 250_000)) for key, stake in members[5]]
    pools = {validator[0]: validator[4] for validator in validators}
    pool_seed = page.digest("pool-seed", network_id)
    wanted = {(row["round"], row["shard"]): row for row in told["shard_rounds"]}
    dealt: list[bytes] = []
    for place in range((max(wanted)[0] + 1) * shards):
        round_, shard = divmod(place, shards)
        epoch = round_ // epoch_rounds
        seed = page.digest("epoch-seed", network_id, page.uint(epoch))
        busy = dealt[len(dealt) - shard :]
        left = [(one[0], one[1]) for one in validators if one[0] not in busy]
        dealer = page.draw_dealer(seed, round_, shard, left)
        row = wanted.get((round_, shard))
        if row is not None and epoch == row["epoch"] == 0:
            at = [epoch, round_, shard]
            encoders = sorted(page.draw_shard(seed, round_, shard, sampled, shard_size))
            first = page.witnesses(at, encoders[0], dealer, list(pools))
            block = page.draw_items(pool_seed, dealer, pools[dealer], dealt.count(dealer), scored)
            assert dealer.hex() == row["dealer"]
            assert [key.hex() for key in encoders] == row["encoders"]
            assert [key.hex() for key in first] == row["witnesses_of_first"]
            assert list(block) == row["indices"]
            assert page.mask_secret(bytes(32), seed, at).hex() == row["mask_secret_of_zeros"]
            del wanted[round_, shard]
        dealt.append(dealer)
    assert all(row["epoch"] > 0 for row in wanted.values())  # which need the records of their epochs
    assert len(told["shard_rounds"]) - len(wanted) >= 4


def test_masks_and_batches__of_the_page_are_those_of_the_vectors(page: Any) -> None:
    for row in vector("masks"):
        count = len(row["item"].split(" "))
        drawn = page.masks_of(
            raw(row["secret"]), row["item"].encode(), count, len(row["masks"]), first_mask=row["first_mask"]
        )
        told = [[unit for span in mask["spans"] for unit in range(*span)] for mask in row["masks"]]
        assert [sorted(mask) for mask in drawn] == told
    for batch in vector("batch"):
        scored, served = ([text.encode() for text in batch[name]] for name in ("scored", "served"))
        items, sealed = page.plan(
            raw(batch["secret"]), scored, served, batch["masks_per_item"], batch["first_mask"]
        )
        assert [item.decode() for item in items] == batch["items"]
        assert [page.content(data).hex() for data in sealed] == batch["sealed_digests"]
    for row in vector("sealing"):
        key = page.digest("wave key", raw(row["secret"]), page.uint(row["wave"]))
        assert key.hex() == row["key"]
        assert page.seal(key, raw(row["data"])).hex() == row["ciphertext"]


def test_commitments__of_the_page_are_those_of_the_vectors(page: Any) -> None:
    for row in vector("commitments"):
        place = [row[name] for name in ("epoch", "round", "shard", "wave")]
        parts = [raw(row[name]) for name in ("lock", "salt", "answers")]
        made = page.commitment(raw(row["network"]), raw(row["encoder"]), place, *parts)
        assert made.hex() == row["commitment"]


def test_first_record__of_the_page_is_that_of_the_vectors(page: Any) -> None:
    epochs = vector("epochs")
    genesis = raw(epochs["genesis"])
    network_id = page.digest("genesis", genesis)
    first = page.first_record(network_id, genesis)
    assert page.digest("epoch-record", network_id, first).hex() == epochs["first_digest"]
    for row in epochs["epochs"]:
        assert page.digest("epoch-record", network_id, raw(row["record"])).hex() == row["digest"]


def test_certificate__vector_follows_from_its_seeds() -> None:
    assert vector("certificate") == document()


@pytest.mark.parametrize(
    "changed", ["network_id", "genesis", "header", "certificate", "item", "vector", "index", "proof", "chain"]
)
def test_certificate__is_refused_by_the_page_with_one_part_changed(page: Any, changed: str) -> None:
    told = dict(page.told, index=1)
    assert page.verify_item(**told) == [4, 25, 0]
    match told[changed]:
        case bytes() as data:
            told[changed] = data[:-1] + bytes([data[-1] ^ 1])
        case int() as index:
            told[changed] = index - 1
        case list() as parts:
            told[changed] = parts[:-1]
    with pytest.raises(REFUSAL):
        page.verify_item(**told)


def test_certificate__is_refused_by_the_page_below_two_thirds_of_the_stake(page: Any) -> None:
    at, report, votes = page.unpack(page.told["certificate"])
    for fewer in (votes[:1], votes[:1] * 3, votes[::-1]):
        with pytest.raises(REFUSAL):
            page.verify_item(**{**page.told, "certificate": page.pack([at, report, fewer])}, index=1)
