"""The three answers a gossip rule can give."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What to do with a gossiped message."""

    ACCEPT = "accept"
    """Valid: hand it to the machines and forward it."""
    IGNORE = "ignore"
    """Not useful now (old, early, seen, late): neither forward nor punish; an honest node may have sent
    it.
    """
    REJECT = "reject"
    """No honest node would send or forward this: drop it and penalise the forwarder."""
