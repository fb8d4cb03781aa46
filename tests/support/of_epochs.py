"""What the agreement on an epoch's record is told: to a round machine it means nothing, in any phase."""

from __future__ import annotations

from protocol.messages import Kind
from protocol.rounds import events as ev
from tests.support.epochs import epoch_of
from tests.support.honest_round import honest_round
from tests.support.specimens import specimens

ROUND = honest_round()
EPOCH = epoch_of(ROUND.genesis, ROUND.at)
KINDS = (
    Kind.REGISTRATION,
    Kind.EXIT,
    Kind.STAKE_TRANSFER,
    Kind.PROPOSAL,
    Kind.PREVOTE,
    Kind.PRECOMMIT,
    Kind.EPOCH_CERTIFICATE,
)
OF_EPOCHS: dict[str, ev.Event] = {
    **{kind.value: ev.Received(ROUND.sign(ROUND.dealer, specimens()[kind].body)) for kind in KINDS},
    "slot began": ev.SlotBegan(ROUND.at),
    "inputs gathered": ev.InputsGathered(b"inputs", EPOCH),
    "inputs checked": ev.InputsChecked(bytes(32), EPOCH),
    "inputs refused": ev.InputsRefused(bytes(32), "they do not hold"),
}
