"""Draws docs/images/trust.svg, who signs what and how a client verifies: `python docs/draw_trust.py`."""

from __future__ import annotations

from pathlib import Path

from sketch import Sketch

TARGET = Path(__file__).parent / "images" / "trust.svg"


def picture() -> str:
    """The whole SVG."""
    s = Sketch("Who signs what, and how a client verifies one embedding", 1000, 700)
    s.text(24, 40, "Who signs what, and how a client verifies one embedding", "title", "start")
    remark = "Start at the network id. Each arrow is a digest or a signature; numbers are the client's steps."
    s.text(24, 62, remark, "small", "start")
    _members(s)
    _report(s)
    _vectors(s)
    _body(s)
    _legend(s)
    return s.svg()


def _members(s: Sketch) -> None:
    s.box(24, 92, 200, 58, "held", "network id", "all the client trusts")
    s.box(308, 92, 200, 58, "box", "genesis", "members, parameters")
    s.box(
        592,
        92,
        384,
        58,
        "signed",
        "records of epochs 1 to e",
        "each signed by 2/3 of the stake of the one before",
    )
    s.arrow((224, 121), (308, 121))
    s.step(266, 121, 1)
    s.arrow((508, 121), (592, 121))
    s.step(550, 121, 2)


def _report(s: Sketch) -> None:
    s.box(
        592,
        220,
        360,
        64,
        "signed",
        "report",
        "header of a round, signed by the dealer",
        "that seed and stakes of record e draw",
    )
    s.arrow((700, 150), (700, 220))
    s.step(700, 184, 3)
    s.text(718, 189, "draws the dealer", "small", "start")
    s.box(
        592,
        358,
        360,
        64,
        "signed",
        "certificate",
        "attestations of 2/3 of the stake of record e;",
        "each signer computed all of it again",
    )
    s.arrow((784, 358), (784, 284))
    s.step(784, 320, 4)
    s.text(802, 325, "over the report's digest", "small", "start")


def _vectors(s: Sketch) -> None:
    s.box(308, 220, 200, 64, "box", "Merkle root", "of (item id, vector)", "in batch order")
    s.arrow((592, 252), (508, 252))
    s.box(24, 220, 200, 64, "held", "the embedding", "raw, 1,024 float32,", "with its item's id")
    s.arrow((308, 252), (224, 252))
    s.step(266, 252, 5)
    s.box(24, 358, 200, 64, "held", "the shaped embedding", "what the API answers", "unless asked for raw")
    s.arrow((124, 284), (124, 358))
    s.step(124, 320, 6)
    s.box(308, 358, 200, 64, "box", "moments", "named by the record of", "the space's epoch")
    s.arrow((308, 390), (224, 390))
    s.text(142, 325, "transform", "small", "start")
    s.arrow((640, 150), (640, 186), (550, 186), (550, 390), (508, 390), dashed=True)


def _body(s: Sketch) -> None:
    s.frame(
        24,
        456,
        952,
        168,
        "group",
        "the report's body, by its digest in the header: what validators and deltamesh verify go through",
    )
    s.box(
        40,
        494,
        218,
        112,
        "signed",
        "dealer",
        "challenge: three sealed waves",
        "locks 1, 2, 3: who is in,",
        "key of the next wave",
    )
    s.box(
        274,
        494,
        218,
        112,
        "signed",
        "every encoder",
        "commit to each wave's answers",
        "reveal: salts, digests of them;",
        "answers by digest",
    )
    s.box(
        508,
        494,
        218,
        112,
        "box",
        "items and masks",
        "proofs in the dealer's pool,",
        "preimage of its hash chain:",
        "both fixed before the round",
    )
    s.box(
        742,
        494,
        218,
        112,
        "box",
        "numbers",
        "valid, terms, score, weight,",
        "consensus, means:",
        "within the tolerance",
    )
    s.arrow((952, 252), (976, 252), (976, 440), (660, 440), (660, 456), dashed=True)


def _legend(s: Sketch) -> None:
    for x, kind, words in (
        (24, "signed", "signed, Ed25519"),
        (180, "box", "bound by a digest"),
        (340, "held", "held by the client"),
    ):
        s.box(x, 650, 26, 18, kind)
        s.text(x + 36, 664, words, "small", "start")
    s.text(976, 664, "deltamesh embed --verify goes 1 to 6, deltamesh verify all of it", "small", "end")


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
