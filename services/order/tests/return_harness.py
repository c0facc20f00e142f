"""What the tests of returns have in common: a shipped order, and reads of what is committed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from order_harness import build_receipt
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.event_details import DETAILS
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import EventType
from fuze_contracts.refund_allocation import RefundLine
from fuze_contracts.returns import (
    RequestReturn,
    ReturnStatus,
)
from fuze_order.messages import ReturnTransition
from fuze_order.repository import OrderRepository
from fuze_order.tables import events, orders, returns

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def create_shipped(engine: AsyncEngine, make_order: Callable[..., PlaceOrder]) -> PlaceOrder:
    """Store and return a shipped order: three teapots for 59.97 USD and a warranty."""
    order = make_order(
        lines=(
            OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),
            OrderLine(sku="WARRANTY", quantity=1, unit_price_minor=0, requires_shipping=False),
        )
    )
    await OrderRepository(engine).create(build_receipt(order, run_id="run", occurred_at=NOW))
    await set_order(engine, order, status="shipped", payment_status="charged")
    return order


async def set_order(engine: AsyncEngine, order: PlaceOrder, **columns: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == order.order_id)
            .values(tracking_number="FZ1", **columns)
        )


def request_return(order: PlaceOrder, quantity: int = 1, **changes: Any) -> RequestReturn:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": order.order_id,
        "return_id": uuid4(),
        "lines": (RefundLine(line_id="1", quantity=quantity),),
        "reason": "does not fit",
        "actor": "ada",
    }
    return RequestReturn(**(fields | changes))


def transition(request: RequestReturn, status: ReturnStatus, **changes: Any) -> ReturnTransition:  # noqa: ANN401 - a message's fields
    return ReturnTransition(
        order_id=request.order_id,
        return_id=request.return_id,
        status=status,
        actor="grace",
        occurred_at=NOW,
        **changes,
    )


async def read_status(engine: AsyncEngine, request: RequestReturn) -> str:
    query = sa.select(returns.c.status).where(returns.c.id == request.return_id)
    async with engine.connect() as connection:
        return str((await connection.execute(query)).scalar_one())


async def read_events(engine: AsyncEngine, order_id: UUID) -> list[sa.Row[Any]]:
    query = sa.select(events).where(events.c.order_id == order_id).order_by(events.c.seq)
    async with engine.connect() as connection:
        rows = list(await connection.execute(query))
    for event in rows:
        DETAILS[EventType(event.type)].model_validate(event.details)
    return rows
