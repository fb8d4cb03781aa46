"""The round machines: events in, effects out, no I/O.

`machine.handle(event, now_ms)` returns the effects to carry out, in order. The same machines run in the
node, in the tests' in-memory network and in the simulator.
"""

from protocol.rounds.attester import AttesterMachine
from protocol.rounds.dealer import DealerMachine
from protocol.rounds.encoder import EncoderMachine
from protocol.rounds.phases import AttesterPhase, DealerPhase, EncoderPhase

__all__ = [
    "AttesterMachine",
    "AttesterPhase",
    "DealerMachine",
    "DealerPhase",
    "EncoderMachine",
    "EncoderPhase",
]
