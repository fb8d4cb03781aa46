"""The guards in their order: cheapest first, and who asks before what they ask for is read."""

from __future__ import annotations

from starlette.types import ASGIApp

from config.addresses import is_loopback_host
from node.api.guard.access import Tokens
from node.api.guard.body import Body
from node.api.guard.buckets import Buckets
from node.api.guard.faults import Faults
from node.api.guard.headers import SecurityHeaders
from node.api.guard.limits import FILE_COST, TEXT_COST, Limits
from node.api.guard.load import Load
from node.api.guard.origin import Origin
from node.api.guard.policy import access_of
from node.api.guard.rate import RateLimit
from node.api.guard.shape import Shape
from node.api.guard.tokens import FILE_NAME, TokenBook
from node.api.service import Service
from protocol.modalities import TEXT


def guarded(app: ASGIApp, service: Service, limits: Limits) -> ASGIApp:
    """The application behind every guard, as the settings of its node ask for it."""
    settings, buckets = service.settings, Buckets(limits.clients_max)
    book = TokenBook(service.directory.root / FILE_NAME)
    app = Load(app, limits)
    # Outside of it: slow senders hold no place of those who are served.
    app = Body(app, limits, TEXT_COST if service.genesis.modality is TEXT else FILE_COST)
    app = RateLimit(app, limits, buckets)
    app = Tokens(app, access_of(settings), book, limits, buckets)
    app = Origin(app, loopback=is_loopback_host(settings.api))
    app = Shape(app, limits)
    app = Faults(app)
    return SecurityHeaders(app)
