"""Pulling page after page from one peer, and what its failures are taken for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from node.network.errors import FetchError, RequestError
from node.network.host import Host
from node.store import StoreError
from protocol.certificates import CertificateError
from protocol.codec import CodecError
from protocol.epochs.agreed import EpochCertificateError
from protocol.epochs.known import UnknownEpochError
from protocol.epochs.record import RecordError
from protocol.statement import StatementError

COST_FALSE = 50.0

log = structlog.get_logger(__name__)

Page = Callable[[bytes], Awaitable[bool]]
"""Takes one page of a peer; whether there may be more."""


async def pull_pages(host: Host, key: bytes, page: Page, about: str) -> None:
    """Take pages of a peer until it has no more, or stops being useful.

    What cannot be true is held against it; what it does not have, or our own disk, is not.
    """
    try:
        while await page(key):
            pass
    except CodecError as error:
        host.penalise(key, COST_FALSE, f"answers nonsense about {about}: {error}")
    except (StatementError, CertificateError, RecordError, EpochCertificateError) as error:
        host.penalise(key, COST_FALSE, f"serves {about} that do not check out: {error}")
    except (RequestError, FetchError, trio.TooSlowError, UnknownEpochError) as error:
        log.debug(f"{about}.unserved", peer=key.hex()[:8], reason=str(error) or "too slow")
    except StoreError as error:
        log.warning(f"{about}.paused", reason=str(error))
