"""The overview: today's orders, what waits, and what is unavailable."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from fuze_client import AsyncFuzeClient, FuzeError, Problem
from fuze_client.models import (
    Discrepancy,
    ListOrdersResponse,
    OrderSummary,
    Return,
    TaskQueue,
)
from fuze_client.webhook_models import WebhookEndpoint
from fuze_console.charts import draw_columns, draw_shares
from fuze_console.context import ClientDependency, ServicesDependency, SessionDependency
from fuze_console.problems import is_unauthenticated, to_problem
from fuze_console.states import ENDS

router = APIRouter()

_PAGE = 200
_MAX_PAGES = 5
"""The API counts nothing: the overview reads the newest orders of today, at most a thousand."""

Content = TypeVar("Content")


@dataclass(frozen=True)
class Part(Generic[Content]):
    """A part of the overview, or the problem with it; neither where the caller may not read it."""

    content: Content | None = None
    problem: Problem | None = None


@router.get("/")
async def show_overview(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show the overview; a part that cannot be read says so, and the others are shown."""
    now = datetime.now(UTC)
    today, waiting, attention, readiness = await asyncio.gather(
        _try(_read_today(client, now)),
        _try(client.orders.get_page(waiting_for="approval", sort="created_at", limit=_PAGE)),
        _try(client.orders.get_page(needs_attention=True, sort="updated_at", limit=_PAGE)),
        _try(client.get_readiness()),
    )
    queues: Part[list[TaskQueue]] = Part()
    returns: Part[Sequence[Return]] = Part()
    discrepancies: Part[Sequence[Discrepancy]] = Part()
    endpoints: Part[Sequence[WebhookEndpoint]] = Part()
    if session.allows("orders:operate"):
        queues, returns, discrepancies = await asyncio.gather(
            _try(client.list_task_queues()),
            _try(client.returns.list_open()),
            _try(client.payments.list_discrepancies()),
        )
    if session.allows("webhooks:operate"):
        endpoints = await _try(client.webhooks.list())
    orders = today.content.orders if today.content else []
    by_status = Counter(order.status for order in orders)
    ends = [(end, sum(by_status[status] for status in end.statuses)) for end in ENDS]
    hours = Counter(order.created_at.astimezone(UTC).hour for order in orders)
    return services.renderer.render(
        request,
        "overview.html",
        session=session,
        now=now,
        today=today,
        ends=ends,
        shares=draw_shares([(end.title, end.tone, count) for end, count in ends]),
        hours=draw_columns([hours[hour] for hour in range(24)], now.hour),
        volume=_sum_totals(orders),
        waiting=waiting,
        attention=attention,
        readiness=readiness,
        queues=queues,
        returns=returns,
        discrepancies=discrepancies,
        endpoints=endpoints,
        failing_endpoints=[one for one in endpoints.content or () if one.needs_attention],
    )


async def _read_today(client: AsyncFuzeClient, now: datetime) -> ListOrdersResponse:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    orders: list[OrderSummary] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.orders.get_page(created_from=midnight, limit=_PAGE, cursor=cursor)
        orders += page.orders
        cursor = page.next
        if cursor is None:
            break
    return ListOrdersResponse(orders=orders, next=cursor)


def _sum_totals(orders: Sequence[OrderSummary]) -> dict[str, int]:
    """Return the total of today's orders that are charged, by currency, the largest first."""
    totals: Counter[str] = Counter()
    for order in orders:
        if order.payment_status in {"charged", "partially_refunded"}:
            totals[order.currency] += order.total_minor
    return {currency: minor for currency, minor in totals.most_common(3) if minor}


async def _try(request: Awaitable[Content]) -> Part[Content]:
    """Return the response, or the problem; without credentials the whole page has none."""
    try:
        return Part(content=await request)
    except FuzeError as error:
        if is_unauthenticated(error):
            raise
        return Part(problem=to_problem(error))
