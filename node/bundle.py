"""A certified report as one file: everything needed to check it offline, and nothing twice.

No byte is free: the encoding is canonical and every part is bound. The genesis by the network id one trusts,
the header by its dealer's signature, the certificate by its validators', the body by the header's digest, the
answers by the digests the encoders revealed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec

from protocol.codec import CodecError, Natural, Record, decode, encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.genesis import Genesis
from protocol.messages import ENCODERS_MAX, WAVES, Certificate, Challenge, Report, Reveal
from protocol.report import BODY_BYTES_MAX, VECTOR_BYTES, EnvelopeBytes, ReportBody
from protocol.statement import Statement, parse

BUNDLE_SUFFIX: Final = ".dmr"
BUNDLE_BYTES_MAX: Final = 512 << 20
MAGIC: Final = "deltamesh report"
VERSION: Final = 3
EPOCHS_MAX: Final = 1 << 16

_WRITE_BYTES: Final = 4 << 20
_MAGIC_BYTES: Final = encode(MAGIC)

Progress: TypeAlias = Callable[[int, int], None]
"""Told (bytes done, bytes in all)."""


class BundleError(Exception):
    """The file is no report bundle, cannot be read or written; the message says why and what to do."""


class Bundle(Record, frozen=True):
    """What a file holds. Decoded, so canonical and within limits; nothing in it is believed yet."""

    magic: str
    version: Natural
    genesis: bytes
    """Canonical genesis; its digest is the network id."""
    epochs: Annotated[tuple[CertifiedRecord, ...], msgspec.Meta(max_length=EPOCHS_MAX)]
    """Records from that of epoch 1 to that of the report's epoch, each by its certificate."""
    encoders: bytes
    """Canonical encoders' table of the report's epoch; empty in epoch 0, whose encoders are genesis'."""
    means: bytes
    """Canonical encoders' means of the report's epoch; empty where its record has none."""
    header: EnvelopeBytes
    """Envelope of the Report statement."""
    body: bytes
    """The report's body as the header names it."""
    certificate: EnvelopeBytes
    """Canonical Certificate record: unsigned by itself, made of signed attestations."""
    answers: Annotated[tuple[memoryview, ...], msgspec.Meta(max_length=len(WAVES) * ENCODERS_MAX)]
    """Little-endian float32 [views, 1024] of all who revealed, by encoder key, then wave; equal ones once."""


def make_bundle(
    genesis: Genesis,
    epochs: Sequence[CertifiedRecord],
    encoders: bytes,
    means: bytes,
    header: Statement[Report],
    body: bytes,
    certificate: Certificate,
    answers: Callable[[bytes], bytes | memoryview | None],
) -> Bundle:
    """Gather a certified report and the answers it names. Raises BundleError when an answer is not held."""
    gathered = []
    for name in named_answers(body, genesis.network_id):
        data = answers(name)
        if data is None:
            raise answers_not_held(name, certificate)
        gathered.append(memoryview(data))
    return Bundle(
        MAGIC,
        VERSION,
        genesis.data,
        tuple(epochs),
        encoders,
        means,
        header.data,
        body,
        encode(certificate),
        tuple(gathered),
    )


def answers_not_held(name: bytes, certificate: Certificate) -> BundleError:
    """What to say where a node lacks answers that a report names: who should have them."""
    return BundleError(
        f"the answers {name.hex()[:16]} are not held here: this node got the round when over, or "
        "has dropped its reveals since (retention_rounds); ask a validator that attested it: "
        + ", ".join(sorted(one.validator.hex()[:8] for one in certificate.attestations))
    )


def named_answers(body: bytes, network_id: bytes) -> dict[bytes, int]:
    """Digest -> size in bytes of the answers a report's body names, in a bundle's order, equal ones once.

    Believes the body: whether its reveals are signed and open their commits is the audit's to say. Raises
    BundleError when the body is none.
    """
    sizes_bytes: dict[bytes, int] = {}
    try:
        report = decode(body, ReportBody, size_bytes_max=BODY_BYTES_MAX)
        challenge = parse(report.challenge, network_id).body
        reveals = [parse(data, network_id).body for data in report.reveals]
    except ValueError as error:  # not canonical, not a statement of this network, or not UTF-8
        raise BundleError(
            f"the report's body cannot be read ({error}): fetch it again by its digest"
        ) from error
    for reveal in reveals:
        if not isinstance(reveal, Reveal) or not isinstance(challenge, Challenge):
            raise BundleError("the report's body holds other statements than it should: its dealer cheats")
        for name, wave in zip(reveal.answers, challenge.waves, strict=True):
            if sizes_bytes.setdefault(name, wave.views * VECTOR_BYTES) != wave.views * VECTOR_BYTES:
                raise BundleError(f"answers {name.hex()[:16]} are named with two sizes: their encoder cheats")
    return sizes_bytes


def write_bundle(path: Path, bundle: Bundle, on_progress: Progress | None = None) -> int:
    """Write a bundle so that the file is whole or absent, replacing an older one; returns its size in bytes.

    Raises BundleError for another suffix than BUNDLE_SUFFIX, for a bundle over the limit and when the disk
    refuses.
    """
    if path.suffix != BUNDLE_SUFFIX:
        raise BundleError(f"{path.name} should end in {BUNDLE_SUFFIX}: name it {path.stem}{BUNDLE_SUFFIX}")
    size_bytes = sum(
        map(
            len,
            (
                bundle.genesis,
                *(one.record for one in bundle.epochs),
                bundle.encoders,
                bundle.means,
                bundle.header,
                bundle.body,
                bundle.certificate,
                *bundle.answers,
            ),
        )
    )
    if size_bytes > BUNDLE_BYTES_MAX:
        raise BundleError(_too_large("this report", size_bytes))
    data = encode(bundle)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        _write_durably(partial, path, memoryview(data), on_progress)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror or error}): check the folder and the space left"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return len(data)


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file, canonical and within limits. Raises BundleError."""
    try:
        if not path.is_file():
            raise BundleError(f"{path} is no file: check the path")
        size_bytes = path.stat().st_size
        if size_bytes > BUNDLE_BYTES_MAX:
            raise BundleError(_too_large(str(path), size_bytes))
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    return decode_bundle(data, str(path))


def decode_bundle(data: bytes, name: str = "this") -> Bundle:
    """The bundle that `data` canonically encodes; its answers look into `data`. Raises BundleError."""
    if data[1 : 1 + len(_MAGIC_BYTES)] != _MAGIC_BYTES:
        raise BundleError(f"{name} is no report bundle: choose a {BUNDLE_SUFFIX} file made by an export")
    # Before the rest is decoded: another version may have other parts.
    version = data[1 + len(_MAGIC_BYTES) : 2 + len(_MAGIC_BYTES)]
    if version != encode(VERSION):
        raise BundleError(
            f"{name} is of another version than {VERSION}: read it with the release that made it"
        )
    try:
        return decode(data, Bundle, size_bytes_max=BUNDLE_BYTES_MAX)
    except CodecError as error:
        raise BundleError(
            f"{name} is damaged or was changed ({error}): export or download it again"
        ) from error


def _write_durably(partial: Path, path: Path, data: memoryview, on_progress: Progress | None) -> None:
    with partial.open("xb") as file:
        for start in range(0, len(data), _WRITE_BYTES):
            written = file.write(data[start : start + _WRITE_BYTES])
            if on_progress is not None:
                on_progress(start + written, len(data))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    # The rename outlives a power cut only once its folder is written too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _too_large(name: str, size_bytes: int) -> str:
    return (
        f"{name} takes {size_bytes >> 20} MiB and a bundle at most {BUNDLE_BYTES_MAX >> 20}: "
        "verify such a report on a node, against its peers"
    )
