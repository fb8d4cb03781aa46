"""What can go wrong between a client and the API it asks; every message says what, why and what to do."""

from __future__ import annotations


class ClientError(Exception):
    """The answer cannot be had."""


class UnreachableError(ClientError):
    """Nobody answers at that address, or the connection broke."""


class TimedOutError(ClientError):
    """The answer did not come in time."""


class BadAnswerError(ClientError):
    """What came back is no answer of this API: another program listens there, or it cheats."""


class ServerError(ClientError):
    """The server refused; the fields are those of its error body.

    `status` is the HTTP status; `param` and `code` are None where the server names none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str = "",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


class NotFoundError(ServerError):
    """The server does not have what was asked for."""


class NotAllowedError(ServerError):
    """The server wants a token, or another one."""


class InvalidRequestError(ServerError):
    """The server finds a fault with the request."""


class OverloadedError(ServerError):
    """The server asks to come back later (429 or 503), and retries did not help."""


BY_STATUS: dict[int, type[ServerError]] = {
    400: InvalidRequestError,
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    410: NotFoundError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: OverloadedError,
    503: OverloadedError,
}
