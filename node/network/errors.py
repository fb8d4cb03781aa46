"""What can go wrong on the network, said to a person: what happened, why, what to do."""

from __future__ import annotations


class NetworkError(Exception):
    """Base of every error this package raises on purpose."""


class ListenError(NetworkError):
    """The host could not open one of its listening addresses."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"cannot listen on {address}: {reason}; choose another port, or port 0 to let the system choose"
        )
        self.address = address
        self.reason = reason


class DialError(NetworkError):
    """A peer could not be reached, or is not who its address says."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot dial {address}: {reason}")
        self.address = address
        self.reason = reason


class RequestError(NetworkError):
    """A request to a peer got no good answer."""

    def __init__(self, peer: bytes, method: str, reason: str) -> None:
        super().__init__(f"request {method} to {peer.hex()[:16]} failed: {reason}")
        self.peer = peer
        self.method = method
        self.reason = reason


class RequestDenied(RequestError):  # noqa: N818
    """The peer answered a request, with a refusal of its own."""


class RequestRefused(NetworkError):  # noqa: N818
    """Raised by a handler to answer a request with a reason of its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageTooLarge(NetworkError):  # noqa: N818
    """A message to publish is larger than the network carries."""

    def __init__(self, topic: str, size_bytes: int, size_bytes_max: int) -> None:
        super().__init__(
            f"message of {size_bytes} bytes on {topic} exceeds {size_bytes_max}; "
            "publish its digest and serve the bytes as a blob"
        )
        self.size_bytes = size_bytes
        self.size_bytes_max = size_bytes_max


class FetchError(NetworkError):
    """No source delivered a blob with the right digest."""

    def __init__(self, digest: bytes, reasons: tuple[str, ...]) -> None:
        why = "; ".join(reasons) if reasons else "no source given"
        super().__init__(f"blob {digest.hex()[:16]} could not be fetched: {why}")
        self.digest = digest
        self.reasons = reasons


class BlobsFull(NetworkError):  # noqa: N818
    """A blob store has no room left."""

    def __init__(self, size_bytes: int, bytes_max: int) -> None:
        super().__init__(
            f"blob of {size_bytes} bytes does not fit a store of {bytes_max}; forget older blobs first"
        )
