"""Draws docs/images/architecture.svg, the processes of a network: `python docs/draw_architecture.py`."""

from __future__ import annotations

from pathlib import Path

from sketch import Sketch

TARGET = Path(__file__).parent / "images" / "architecture.svg"


def picture() -> str:
    """The whole SVG."""
    s = Sketch("Processes and packages of deltamesh", 1060, 838)
    _people(s)
    _validator(s)
    _encoder(s)
    _between(s)
    _packages(s)
    return s.svg()


def _people(s: Sketch) -> None:
    for x, head, remark in (
        (24, "a browser", "the page, live"),
        (218, "any OpenAI client", "POST /v1/embeddings"),
        (412, "deltamesh embed --verify", "believes a network id alone"),
    ):
        s.box(
            x,
            22,
            182,
            54,
            "box",
            head if len(head) < 22 else "",
            *((head,) if len(head) >= 22 else ()),
            remark,
        )


def _validator(s: Sketch) -> None:
    s.frame(24, 122, 570, 474, "group", "validator")
    s.box(
        40, 152, 538, 44, "process", "API process", "HTTP and the page, by uvicorn; reads the store by itself"
    )
    s.frame(40, 220, 538, 250, "process", "node")
    s.text(106, 243, "one trio loop", "small", "start")
    s.arrow((520, 196), (520, 220), both=True)
    s.text(508, 212, "events and counts up, submissions down", "small", "end")
    s.box(
        56,
        252,
        506,
        42,
        "box",
        "network: py-libp2p behind one object",
        "limits before decoding, bounded queues, bans",
    )
    s.box(56, 318, 150, 56, "box", "gossip rules", "accept, ignore, reject")
    s.box(234, 318, 150, 56, "box", "round machines", "no clock, no I/O")
    s.box(412, 318, 150, 56, "box", "driver", "effects, in order")
    s.arrow((131, 294), (131, 318))
    s.arrow((206, 346), (234, 346))
    s.arrow((384, 340), (412, 340))
    s.arrow((412, 356), (384, 356))
    s.arrow((487, 318), (487, 294))
    s.text(384, 391, "events, effects", "small")
    s.box(56, 412, 150, 44, "held", "signer", "on disk, then signed")
    s.box(234, 412, 150, 44, "held", "store", "SQLite, blobs")
    s.arrow((440, 374), (440, 434), (384, 434))
    s.arrow((440, 434), (440, 400), (220, 400), (220, 434), (206, 434))
    s.box(
        40,
        500,
        258,
        78,
        "process",
        "scoring process",
        "torch, numba; by pipe and blob folder",
        "started once, may crash",
    )
    s.box(
        320,
        500,
        258,
        78,
        "process",
        "search process",
        "reads the store by itself",
        "started by the first search",
    )
    s.arrow((530, 374), (530, 484), (169, 484), (169, 500))
    s.arrow((309, 456), (309, 476), (449, 476), (449, 500), dashed=True)


def _between(s: Sketch) -> None:
    s.arrow((309, 76), (309, 98), (406, 98), (406, 152), both=True)
    s.text(418, 112, "JSON, events, proofs, metrics", "small", "start")
    s.arrow((562, 262), (768, 262), both=True)
    s.arrow((562, 280), (768, 280), both=True)
    s.text(667, 222, "gossip", "strong")
    s.text(667, 242, "signed statements", "small")
    s.text(667, 310, "streams", "strong")
    s.text(667, 330, "views, answers,", "small")
    s.text(667, 347, "reports, by digest", "small")
    s.text(667, 384, "Noise, yamux", "small")


def _encoder(s: Sketch) -> None:
    s.frame(740, 122, 296, 474, "group", "encoder", "needs no open port")
    s.frame(754, 180, 268, 214, "process", "node", "one process, one trio loop")
    s.box(768, 248, 240, 44, "box", "the same network layer")
    s.box(768, 318, 108, 56, "box", "machine", "one a round")
    s.box(900, 318, 108, 56, "box", "driver", "signer, store")
    s.arrow((822, 292), (822, 318))
    s.arrow((876, 340), (900, 340))
    s.arrow((900, 356), (876, 356))
    s.arrow((954, 318), (954, 292))
    s.box(
        754,
        448,
        268,
        84,
        "process",
        "model process",
        "any function from views to rows,",
        "answers into shared memory",
    )
    s.arrow((954, 374), (954, 448), both=True)
    s.text(942, 424, "one wave at a time", "small", "end")
    s.text(888, 570, "encoders dial out, to a few validators", "small")


def _packages(s: Sketch) -> None:
    s.text(24, 634, "packages, and who may import whom", "strong", "start")
    s.box(
        24,
        652,
        260,
        78,
        "box",
        "node",
        "all that touches the world:",
        "network, store, models, API, commands",
    )
    s.box(388, 652, 260, 78, "box", "scoring", "numerics on tensors:", "terms, scores, weights, consensus")
    s.box(388, 742, 260, 78, "box", "config", "settings, genesis file,", "presets, data directory")
    s.box(
        752,
        652,
        284,
        168,
        "box",
        "protocol",
        "pure: messages, encoding,",
        "signatures, masks, sampling, audit,",
        "gossip rules, epochs, round machines;",
        "no clock, randomness, I/O or torch",
    )
    s.arrow((284, 691), (388, 691))
    s.arrow((336, 691), (336, 781), (388, 781))
    s.arrow((648, 691), (752, 691))
    s.arrow((648, 781), (752, 781))
    s.text(154, 772, "held by import-linter", "small")


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
