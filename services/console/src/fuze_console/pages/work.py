"""Work lists: approvals, orders that need attention, returns, discrepancies."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from fuze_client import AsyncFuzeClient, FuzeError
from fuze_client.models import BulkResult, CommandResponse, OrderSummary, ProblemSummary
from fuze_console.context import (
    ClientDependency,
    ServicesDependency,
    SessionDependency,
    require_same_session,
)
from fuze_console.pages.answers import CHANGED, find_action
from fuze_console.pages.order import get_return_actions
from fuze_console.problems import to_problem
from fuze_console.sessions import Session
from fuze_console.states import ACTIONS, Action

router = APIRouter(prefix="/work")

_PAGE = 50
_MAX_SELECTED = 200
_CONCURRENT_REQUESTS = 8

BULK_ACTIONS = {name: ACTIONS[name] for name in ("approve", "reject", "cancel", "retry")}


@dataclass(frozen=True)
class WorkItem:
    """An order of a work list, and why it is there."""

    order: OrderSummary
    failure: str | None = None


@router.get("/approvals")
async def show_approvals(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    cursor: str | None = None,
) -> Response:
    """Show the orders that wait for approval, the oldest first."""
    page = await client.orders.get_page(
        waiting_for="approval", sort="created_at", limit=_PAGE, cursor=cursor
    )
    return services.renderer.render(
        request,
        "work_orders.html",
        session=session,
        title="Approvals",
        explanation="Orders that wait for an approval, the oldest first.",
        nothing="No order waits for approval.",
        list_url="/work/approvals",
        items=[WorkItem(order) for order in page.orders],
        next=page.next,
        has_failures=False,
        actions=_get_allowed(session, "approve", "reject"),
    )


@router.get("/attention")
async def show_attention(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    cursor: str | None = None,
) -> Response:
    """Show the orders with a failing step, with what fails."""
    page = await client.orders.get_page(
        needs_attention=True, sort="updated_at", limit=_PAGE, cursor=cursor
    )
    limit = asyncio.Semaphore(_CONCURRENT_REQUESTS)
    failures = await asyncio.gather(*(_find_failure(client, one, limit) for one in page.orders))
    return services.renderer.render(
        request,
        "work_orders.html",
        session=session,
        title="Needs attention",
        explanation="Orders with a step that keeps failing. It is retried until it succeeds.",
        nothing="Every order progresses.",
        list_url="/work/attention",
        items=[WorkItem(*one) for one in zip(page.orders, failures, strict=True)],
        next=page.next,
        has_failures=True,
        actions=_get_allowed(session, "retry", "cancel"),
    )


@router.get("/returns")
async def show_returns(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show the returns that wait for something, with what can be done."""
    returns = await client.returns.list_open()
    return services.renderer.render(
        request,
        "work_returns.html",
        session=session,
        returns=[(one, get_return_actions(one, session)) for one in returns],
    )


@router.get("/discrepancies")
async def show_discrepancies(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show what differs between the records of Fuze, the payment provider and the carrier."""
    return services.renderer.render(
        request,
        "work_discrepancies.html",
        session=session,
        discrepancies=await client.payments.list_discrepancies(),
    )


@router.get("/bulk/{name}")
async def confirm_bulk(
    request: Request,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    order_id: Annotated[list[UUID] | None, Query(max_length=_MAX_SELECTED)] = None,
) -> Response:
    """Show how many orders are selected, and let the command be confirmed."""
    return services.renderer.render(
        request,
        "bulk.html",
        session=session,
        action=find_action(BULK_ACTIONS, name),
        order_ids=order_id or [],
        url=request.url.path,
    )


@router.post("/bulk/{name}", dependencies=[Depends(require_same_session)])
async def run_bulk(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    order_id: Annotated[list[UUID], Form(max_length=_MAX_SELECTED)],
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send the command for each selected order, and show each outcome."""
    action = find_action(BULK_ACTIONS, name)
    results = await _send(client, name, order_id, reason.strip() or None, session.actor)
    response = services.renderer.render(
        request,
        "bulk_answer.html",
        session=session,
        action=action,
        results=results,
        failed=sum(one.problem is not None for one in results),
    )
    response.headers.update(CHANGED)
    return response


async def _send(
    client: AsyncFuzeClient,
    name: str,
    order_ids: Sequence[UUID],
    reason: str | None,
    actor: str | None,
) -> Sequence[BulkResult]:
    """Send the command for all orders at once, or for each where the API has none for many."""
    orders = client.orders
    match name:
        case "approve":
            return (await orders.approve_many(order_ids, actor=actor)).results
        case "cancel":
            return (await orders.cancel_many(order_ids, reason=reason, actor=actor)).results
    limit = asyncio.Semaphore(_CONCURRENT_REQUESTS)

    async def send(order_id: UUID) -> BulkResult:
        order: CommandResponse | None = None
        problem: ProblemSummary | None = None
        async with limit:
            try:
                if name == "reject":
                    order = await orders.reject(order_id, reason=reason, actor=actor)
                else:
                    order = await orders.retry(order_id, actor=actor)
            except FuzeError as error:
                problem = ProblemSummary.model_validate(to_problem(error).model_dump())
        return BulkResult(order_id=order_id, order=order, problem=problem)

    return await asyncio.gather(*(send(order_id) for order_id in order_ids))


async def _find_failure(
    client: AsyncFuzeClient, order: OrderSummary, limit: asyncio.Semaphore
) -> str | None:
    """Return why an order needs attention, as far as its workflow says."""
    if order.workflow_missing_at:
        return "It has no workflow: recover it."
    async with limit:
        try:
            live = (await client.orders.get_status(order.order_id)).live
        except FuzeError:
            return None
    if live is None:
        return None
    failures = [activity.last_failure for activity in live.pending_activities]
    failure = next(filter(None, [*failures, live.last_error]), None)
    return f"{live.waiting_for}: {failure}" if failure and live.waiting_for else failure


def _get_allowed(session: Session, *names: str) -> list[Action]:
    return [BULK_ACTIONS[name] for name in names if session.allows(BULK_ACTIONS[name].scope)]
