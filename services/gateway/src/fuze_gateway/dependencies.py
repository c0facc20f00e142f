"""What the routes are given: the gateway's two sources, and its settings."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from fuze_gateway import problems
from fuze_gateway.commands import OrderCommands
from fuze_gateway.live import LiveOrders
from fuze_gateway.reads import OrderReads
from fuze_gateway.settings import GatewaySettings


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where orders are asked for and told things."""

    settings: GatewaySettings
    reads: OrderReads
    live: LiveOrders
    commands: OrderCommands


def sources_of(settings: GatewaySettings, engine: AsyncEngine, client: Client) -> Sources:
    """Build the sources over a pool and a client."""
    return Sources(
        settings=settings,
        reads=OrderReads(engine, settings.read_timeout),
        live=LiveOrders(client, settings.read_timeout),
        commands=OrderCommands(client, settings.read_timeout),
    )


def _sources(request: Request) -> Sources:
    sources: Sources = request.app.state.sources
    return sources


async def require_json(request: Request) -> None:
    """Refuse a body that does not call itself JSON; no body needs no content type.

    Raises:
        Problem: 415.

    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and await request.body():
        raise problems.not_json()


SourcesDependency = Annotated[Sources, Depends(_sources)]
