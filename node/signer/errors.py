"""Why the signer refuses: what happened, why, and the next step."""

from __future__ import annotations


class SignerError(Exception):
    """No signature was given; the vote, if it was already recorded, binds this key all the same."""


class SignerLocked(SignerError):  # noqa: N818 (says what it is)
    """Another process signs with this database."""


class SignerCorrupted(SignerError):  # noqa: N818 (says what it is)
    """The database or its watermark is damaged, or belongs to another key or network."""


class VoteRefused(SignerError):  # noqa: N818 (says what it is)
    """One of the signer's rules forbids this vote; others may still be cast."""


class EquivocationRefused(VoteRefused):
    """This key has already signed another digest for the same slot."""


class TooManyVotes(VoteRefused):
    """A round has as many votes as the database keeps for one."""


class TooEarly(VoteRefused):
    """A vote for a round in which an earlier process may have voted."""

    def __init__(self, round: int, first_round: int) -> None:
        super().__init__(
            f"no vote for round {round}: an earlier process with this key may have voted in it; "
            f"this one votes from round {first_round} on"
        )
        self.round = round
        self.first_round = first_round


class OpensLaterError(SignerError):
    """The signer cannot be opened yet, but can be from `first_round_min` on: wait and open it again."""

    def __init__(self, message: str, first_round_min: int) -> None:
        super().__init__(message)
        self.first_round_min = first_round_min


class SignerRolledBack(OpensLaterError):  # noqa: N818 (says what it is)
    """The database lacks votes that its watermark has seen: it was put back from an older copy."""


class SignerClockBehind(OpensLaterError):  # noqa: N818 (says what it is)
    """This key has already been used in later rounds than the clock says have begun."""
