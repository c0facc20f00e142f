"""An order: its amounts, its timeline, its payments, and what it waits for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import time
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from fuze_client import FuzeError
from fuze_client.models import Event, LedgerEntry, Order, OrderStatusResponse, Refund, Return
from fuze_console.charts import draw_timeline
from fuze_console.context import (
    ClientDependency,
    ConsoleServices,
    ServicesDependency,
    SessionDependency,
)
from fuze_console.rendering import is_fragment
from fuze_console.sessions import Session
from fuze_console.states import ACTIONS, OPEN_STATUSES, RETURN_ACTIONS, Action

router = APIRouter()

_SETTLING = {"created", "submitted", "unknown"}
_HEARTBEAT_SECONDS = 15
_PAYMENT_NOTES = {
    "unknown": "The provider did not say whether it charged. It is looked up until that is known;"
    " nothing is charged twice.",
    "under_review": "The provider reviews the charge. Its decision is read as soon as it is there.",
}


@router.get("/orders/{order_id}")
async def show_order(
    request: Request,
    order_id: UUID,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show an order. htmx requests it again after each event."""
    order, status, events, payments, ledger, returns = await asyncio.gather(
        client.orders.get(order_id),
        client.orders.get_status(order_id),
        client.events.list(order_id),
        client.payments.list(order_id),
        client.payments.list_ledger(order_id),
        client.returns.list(order_id),
    )
    is_open = order.status in OPEN_STATUSES
    return services.renderer.render(
        request,
        "order_content.html" if is_fragment(request) else "order.html",
        session=session,
        order=order,
        id=str(order_id),
        status=status,
        phases=draw_timeline(events, time(), is_open=is_open),
        steps=_get_steps(events),
        payments=payments.payments,
        refunds=payments.refunds,
        payment_notes=_PAYMENT_NOTES,
        journals=_build_journals(ledger, payments.refunds),
        returns=[(one, get_return_actions(one, session)) for one in returns],
        actions=_get_actions(order, status, session),
        is_open=is_open,
        is_settling=any(one.state in _SETTLING for one in payments.refunds)
        or any(one.status == "received" for one in returns),
        links=_build_links(services, order_id),
        workflow_id=f"order/{order_id}",
    )


@router.get("/orders/{order_id}/stream")
async def stream_changes(
    order_id: UUID,
    services: ServicesDependency,
    _: SessionDependency,
    client: ClientDependency,
    after: int = 0,
) -> StreamingResponse:
    """Stream a message for each event of the order (Server-Sent Events); `ended` is the last."""
    messages = _messages(client.events.stream(order_id, after=after), services.is_stopping)
    # Without it, nginx buffers the messages.
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(messages, media_type="text/event-stream", headers=headers)


async def _messages(events: AsyncIterator[Event], is_stopping: asyncio.Event) -> AsyncIterator[str]:
    """Yield a message for each event, until the order has ended or the console stops."""
    yield "retry: 2000\n\n"
    stopping = asyncio.ensure_future(is_stopping.wait())
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            awaited: set[asyncio.Future[Any]] = {coming, stopping}
            await asyncio.wait(
                awaited, timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if stopping.done():
                return
            if not coming.done():
                yield ": heartbeat\n\n"
                continue
            event = coming.result()
            if event is None:
                yield "event: ended\ndata: -\n\n"
                return
            yield f"event: changed\ndata: {event.seq}\n\n"
            coming = asyncio.ensure_future(anext(events, None))
    except FuzeError:
        return  # the browser tries again
    finally:
        stopping.cancel()
        coming.cancel()


@dataclass(frozen=True)
class Step:
    """An event, and the seconds since the one before it."""

    event: Event
    elapsed: float | None


def _get_steps(events: Sequence[Event]) -> list[Step]:
    """Return the events, newest first."""
    steps = [
        Step(event, (event.occurred_at - before.occurred_at).total_seconds() if before else None)
        for event, before in zip(events, [None, *events], strict=False)
    ]
    return steps[::-1]


@dataclass(frozen=True)
class Journal:
    """An entry of the ledger with its two sides, and what the provider owes for the order then."""

    at: datetime
    title: str
    debit: str
    credit: str
    amount_minor: int
    balance_minor: int
    currency: str


def _build_journals(ledger: Sequence[LedgerEntry], refunds: Sequence[Refund]) -> list[Journal]:
    """Return the journal entries of the ledger, oldest first."""
    reasons = {refund.refund_id: refund.reason for refund in refunds}
    credit_sides = {entry.journal_id: entry for entry in ledger if entry.credit_minor}
    balance, journals = 0, []
    for entry in ledger:
        if not entry.debit_minor:
            continue
        amount = entry.debit_minor
        balance += amount if entry.account == "provider" else -amount
        reason = reasons.get(entry.journal_id)
        title = "Charge" if entry.journal_id == entry.payment_id else "Refund"
        journals.append(
            Journal(
                entry.recorded_at,
                f"{title}: {reason}" if reason else title,
                entry.account,
                credit_sides[entry.journal_id].account,
                amount,
                balance,
                entry.currency,
            )
        )
    return journals


def _get_actions(order: Order, status: OrderStatusResponse, session: Session) -> list[Action]:
    """Return what the caller may do to the order as it is now."""
    is_failing = order.needs_attention or status.needs_attention
    is_possible = {
        "retry": is_failing,
        "recover": order.workflow_missing_at is not None,
        "refund": order.total_minor > 0,
        "return": bool(order.lines),
    }
    current = status.status or order.status
    return [
        action
        for action in ACTIONS.values()
        if session.allows(action.scope)
        and current in action.statuses
        and is_possible.get(action.name, True)
    ]


def get_return_actions(one: Return, session: Session) -> list[Action]:
    """Return what the caller may do to a return as it is now."""
    return [
        action
        for action in RETURN_ACTIONS.values()
        if session.allows(action.scope) and one.status in action.statuses
    ]


def _build_links(services: ConsoleServices, order_id: UUID) -> dict[str, str]:
    """Return the pages of other tools about the order."""
    settings, links = services.settings, {}
    workflow_id = quote(f"order/{order_id}", safe="")
    if settings.temporal_ui_url:
        links["Workflow in Temporal"] = (
            f"{settings.temporal_ui_url.rstrip('/')}/workflows/{workflow_id}"
        )
    if settings.trace_url:
        links["Trace"] = settings.trace_url.replace("{workflow_id}", workflow_id).replace(
            "{order_id}", str(order_id)
        )
    return links
