"""Why a dial or a stream failed, out of the nest of errors the library raises, in words for a person."""

from __future__ import annotations


def _causes(error: BaseException) -> list[str]:
    """The error and everything behind it, outermost first."""
    found = [f"{type(error).__name__}: {error}"]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            found += _causes(part)
    behind = error.__cause__ or error.__context__
    return found + _causes(behind) if behind is not None else found


def dial_reason(error: BaseException) -> str:
    """One clause that says why a dial failed."""
    causes = _causes(error)
    text = " / ".join(causes)
    if "PeerIDMismatchesPubkey" in text or "Peer ID mismatch" in text:
        return "the node that answers there has another key than the address says"
    if "ConnectionRefusedError" in text:
        return "connection refused; is the node running, on this port?"
    return causes[-1][:300]


def speaks_no(protocol: str, error: BaseException) -> bool:
    """Whether a stream failed because the peer answered that it does not have the protocol."""
    return any("not supported" in cause and protocol in cause for cause in _causes(error))
