"""What the routes are given: who calls, the gateway's sources, and its settings."""

from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, Request
from temporalio.client import Client

from fuze_gateway import problems
from fuze_gateway.commands import OrderCommands
from fuze_gateway.database import Database
from fuze_gateway.feed import EventFeed
from fuze_gateway.fields import IdempotencyKey
from fuze_gateway.identity.api_keys import ApiKeyCallers, ApiKeys
from fuze_gateway.identity.authentication import Callers
from fuze_gateway.identity.callers import Caller
from fuze_gateway.identity.oidc import OidcCallers
from fuze_gateway.identity.rate_limits import RateLimits
from fuze_gateway.live import LiveOrders
from fuze_gateway.order_list import OrderList
from fuze_gateway.reads import OrderReads
from fuze_gateway.settings import GatewaySettings


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where orders are asked for and told things, and who may do so."""

    settings: GatewaySettings
    reads: OrderReads
    listed: OrderList
    live: LiveOrders
    commands: OrderCommands
    feed: EventFeed
    api_keys: ApiKeys
    callers: Callers
    rate_limits: RateLimits


def sources_of(
    settings: GatewaySettings, database: Database, client: Client, http: httpx.AsyncClient
) -> Sources:
    """Build the sources over a pool, a client of Temporal and one of the identity provider."""
    reads = OrderReads(database)
    api_keys = ApiKeys(database)
    return Sources(
        settings=settings,
        reads=reads,
        listed=OrderList(database, settings.cursor_signing_key),
        live=LiveOrders(client, settings.read_timeout),
        commands=OrderCommands(client, settings.read_timeout),
        feed=EventFeed(
            reads, poll=settings.stream_poll_interval, most_readers=settings.max_streams
        ),
        api_keys=api_keys,
        callers=_callers(settings, api_keys, http),
        rate_limits=RateLimits(settings),
    )


def _callers(settings: GatewaySettings, keys: ApiKeys, http: httpx.AsyncClient) -> Callers:
    if settings.authentication == "none":
        return Callers(keys=None, tokens=None)
    return Callers(
        keys=ApiKeyCallers(
            keys,
            cache=settings.api_key_cache_ttl,
            takes_development_keys=settings.environment != "production",
        ),
        tokens=OidcCallers(settings, http) if settings.oidc_issuer else None,
    )


def sources_behind(request: Request) -> Sources:
    """Return the sources of the application that a request came to."""
    sources: Sources = request.app.state.sources
    return sources


async def _sources(request: Request) -> Sources:
    # Not a plain function: FastAPI would call that in another thread.
    return sources_behind(request)


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


SourcesDependency = Annotated[Sources, Depends(_sources)]
CallerDependency = Annotated[Caller, Depends(_caller)]


async def _one_idempotency_key(request: Request, key: IdempotencyKey) -> str:
    """Return the key; of two, whoever is between us may have read the other.

    Raises:
        RequestValidationError: it came more than once.

    """
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise problems.invalid_field(("header", "Idempotency-Key"), "must come once")
    return key


KeyDependency = Annotated[str, Depends(_one_idempotency_key)]


async def require_json(request: Request) -> None:
    """Refuse a body that does not call itself JSON; no body needs no content type.

    Raises:
        Problem: 415.

    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and await request.body():
        raise problems.not_json()
