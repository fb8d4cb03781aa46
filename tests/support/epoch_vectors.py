"""Records computed from what their vectors hold alone: little to import, for processes of their own."""

from __future__ import annotations

from protocol.codec import decode, encode
from protocol.epochs.inputs import INPUTS_BYTES_MAX, EpochInputs
from protocol.epochs.known import Epochs
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.transition import next_epoch
from protocol.genesis import Genesis


def digests_from(document: dict[str, object]) -> list[str]:
    """The records' digests computed from what a vector holds alone."""
    genesis = Genesis.from_bytes(bytes.fromhex(str(document["genesis"])))
    epochs = Epochs(genesis)
    digests = [epochs.newest.digest.hex()]
    for row in document["epochs"]:  # type: ignore[attr-defined]
        inputs = decode(bytes.fromhex(row["inputs"]), EpochInputs, size_bytes_max=INPUTS_BYTES_MAX)
        outcomes = [
            decode(bytes.fromhex(one), RoundOutcome, size_bytes_max=INPUTS_BYTES_MAX)
            for one in row["outcomes"]
        ]
        epoch = next_epoch(epochs.newest, epochs, inputs, outcomes)
        assert encode(epoch.record).hex() == row["record"]
        assert encode(epoch.table).hex() == row["encoders"]
        epochs.add(epoch)
        digests.append(epoch.digest.hex())
    return digests
