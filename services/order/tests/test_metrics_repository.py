"""The numbers of orders that the metrics show."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from order_harness import build_receipt
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_order.messages import DiscrepancyKind
from fuze_order.metrics_repository import OrderMetricsRepository
from fuze_order.repository import OrderRepository
from fuze_order.tables import discrepancies, orders


@pytest.fixture
async def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


async def read(engine: AsyncEngine) -> dict[str, float]:
    return {one.name: one.value for one in await OrderMetricsRepository(engine).read()}


async def test_orders_are_counted_by_what_they_wait_for_and_by_what_is_wrong(
    engine: AsyncEngine, make_order: Callable[..., PlaceOrder]
) -> None:
    before = await read(engine)
    now = datetime.now(UTC)
    changes: list[dict[str, object]] = [
        {"status": OrderStatus.AWAITING_APPROVAL, "created_at": now - timedelta(days=4000)},
        {
            "status": OrderStatus.APPROVED,
            "payment_status": PaymentStatus.PENDING,
            "updated_at": now - timedelta(days=5000),
        },
        {
            "status": OrderStatus.CANCELLING,
            "payment_status": PaymentStatus.REFUNDING,
            "needs_attention": True,
            "workflow_missing_at": now,
        },
        {"status": OrderStatus.PREPARING, "workflow_failing_since": now},
        {"status": OrderStatus.COMPLETED, "payment_status": PaymentStatus.CHARGED},
    ]
    for change in changes:
        order = make_order(order_id=uuid4())
        await OrderRepository(engine).create(build_receipt(order, run_id="run", occurred_at=now))
        async with engine.begin() as connection:
            await connection.execute(
                sa.update(orders).where(orders.c.id == order.order_id).values(change)
            )
    async with engine.begin() as connection:
        await connection.execute(
            sa.insert(discrepancies).values(
                order_id=order.order_id, kind=DiscrepancyKind.SHIPPED_WITHOUT_PARCEL
            )
        )

    after = await read(engine)

    assert {
        name: after[name] - before[name]
        for name in before
        if not name.endswith("_seconds") and after[name] != before[name]
    } == {
        "fuze_approvals_waiting": 1,
        "fuze_payments_unresolved": 2,
        "fuze_orders_needing_attention": 1,
        "fuze_orders_without_workflow": 1,
        "fuze_orders_with_failing_workflow": 1,
        "fuze_orders_with_discrepancies": 1,
    }
    day = timedelta(days=1).total_seconds()
    assert after["fuze_approvals_oldest_age_seconds"] // day == 4000
    assert after["fuze_payments_oldest_unresolved_age_seconds"] // day == 5000
    async with engine.begin() as connection:
        await connection.execute(sa.update(discrepancies).values(resolved_at=now))
