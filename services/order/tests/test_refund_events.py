"""The events of refunds: in the order's timeline, whether its workflow runs or has ended."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from order_harness import OrderHarness, build_receipt, until, waits_for
from return_harness import read_events
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.money import Money
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_refunds import RefundReport
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.refund_allocation import RefundedLine
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_order.refund_repository import RefundEventRepository
from fuze_order.repository import OrderRepository
from fuze_order.tables import orders
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
def repository(engine: AsyncEngine) -> RefundEventRepository:
    return RefundEventRepository(engine)


@pytest.fixture
async def shipped(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    """An order of 59.97 USD that has ended as shipped."""
    order = make_order()
    await OrderRepository(engine).create(build_receipt(order, run_id="run", occurred_at=_NOW))
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == order.order_id)
            .values(status="shipped", payment_status="charged", tracking_number="FZ1")
        )
    return order


def _report(order: PlaceOrder, amount_minor: int = 1999, **changes: Any) -> RefundReport:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": order.order_id,
        "refund_id": uuid4(),
        "type": EventType.PAYMENT_REFUNDED,
        "amount": Money(amount_minor=amount_minor, currency="USD"),
        "actor": "grace",
        "reason": "broken",
        "occurred_at": _NOW + timedelta(days=1),
    }
    return RefundReport(**(fields | changes))


async def _row(engine: AsyncEngine, order: PlaceOrder) -> sa.Row[Any]:
    async with engine.connect() as connection:
        query = sa.select(orders).where(orders.c.id == order.order_id)
        return (await connection.execute(query)).one()


async def _request_and_refund(repository: RefundEventRepository, report: RefundReport) -> None:
    await repository.record(report.model_copy(update={"type": EventType.REFUND_REQUESTED}))
    await repository.record(report)


async def test_a_refund_is_two_events_with_actor_reason_and_amount(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    line = RefundedLine(line_id="1", quantity=1, amount_minor=1999)
    requested = _report(shipped, type=EventType.REFUND_REQUESTED, lines=(line,))

    await repository.record(requested)
    await repository.record(requested.model_copy(update={"type": EventType.PAYMENT_REFUNDED}))

    *_, first, second = await read_events(engine, shipped.order_id)
    assert (first.seq, first.type, first.payment_status) == (3, "refund_requested", "charged")
    assert (second.seq, second.type, second.payment_status) == (
        4,
        "payment_refunded",
        "partially_refunded",
    )
    assert (second.actor, second.occurred_at) == ("grace", _NOW + timedelta(days=1))
    assert second.details == {
        "refund_id": str(requested.refund_id),
        "reason": "broken",
        "amount": "19.99 USD",
        "amount_minor": 1999,
        "currency": "USD",
        "lines": [{"line_id": "1", "quantity": 1, "amount_minor": 1999}],
    }


async def test_refunds_of_the_whole_total_make_the_order_refunded(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    await repository.record(_report(shipped, 3997))
    assert (await _row(engine, shipped)).payment_status == "partially_refunded"

    await repository.record(_report(shipped, 2000))

    row = await _row(engine, shipped)
    assert (row.status, row.payment_status, row.last_seq) == ("shipped", "refunded", 4)


async def test_a_repeated_report_is_recorded_once(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    report = _report(shipped)

    await asyncio.gather(*(repository.record(report) for _ in range(4)))

    assert [one.type for one in await read_events(engine, shipped.order_id)] == [
        "order_received",
        "order_validated",
        "payment_refunded",
    ]


async def test_concurrent_refunds_are_all_recorded_without_a_gap(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    reports = [_report(shipped, 1999) for _ in range(3)]

    await asyncio.gather(*map(repository.record, reports))

    assert [one.seq for one in await read_events(engine, shipped.order_id)] == [1, 2, 3, 4, 5]
    assert (await _row(engine, shipped)).payment_status == "refunded"


async def test_a_failed_refund_needs_attention_until_another_one_succeeds(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    await repository.record(_report(shipped, type=EventType.REFUND_FAILED, code="card_closed"))

    row = await _row(engine, shipped)
    assert (row.needs_attention, row.payment_status) == (True, "charged")
    assert (await read_events(engine, shipped.order_id))[-1].details["code"] == "card_closed"

    await _request_and_refund(repository, _report(shipped))
    assert not (await _row(engine, shipped)).needs_attention


async def test_a_refund_that_was_requested_before_a_failure_leaves_the_order_flagged(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    earlier = _report(shipped, 1)
    await repository.record(earlier.model_copy(update={"type": EventType.REFUND_REQUESTED}))
    await repository.record(_report(shipped, type=EventType.REFUND_FAILED, code="card_closed"))

    await repository.record(earlier)

    assert (await _row(engine, shipped)).needs_attention
    await _request_and_refund(repository, _report(shipped, 5996))
    assert not (await _row(engine, shipped)).needs_attention


async def test_nothing_needs_attention_once_everything_is_refunded(
    engine: AsyncEngine, repository: RefundEventRepository, shipped: PlaceOrder
) -> None:
    everything = _report(shipped, 5997)
    await repository.record(everything.model_copy(update={"type": EventType.REFUND_REQUESTED}))
    await repository.record(_report(shipped, type=EventType.REFUND_FAILED, code="card_closed"))

    await repository.record(everything)

    assert not (await _row(engine, shipped)).needs_attention


@pytest.mark.parametrize("payment_status", ["refunding", "refunded"])
async def test_a_refund_does_not_take_a_compensation_back(
    engine: AsyncEngine,
    repository: RefundEventRepository,
    shipped: PlaceOrder,
    payment_status: str,
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == shipped.order_id)
            .values(status="returned", payment_status=payment_status)
        )

    await repository.record(_report(shipped))

    assert (await _row(engine, shipped)).payment_status == payment_status


async def test_a_report_of_an_unknown_order_is_retried(
    repository: RefundEventRepository, make_order: Order
) -> None:
    with pytest.raises(LookupError, match="retry"):
        await repository.record(_report(make_order()))


async def test_an_order_whose_delivery_is_tracked_continues_after_a_refund(
    harness: OrderHarness, repository: RefundEventRepository, make_order: Order
) -> None:
    order = make_order(delivery_tracking_period=timedelta(days=30), auto_approve_limit=10_000)
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.DELIVERY))
    await repository.record(_report(order, type=EventType.REFUND_REQUESTED))
    await repository.record(_report(order))

    delivered = DeliveryStatusChanged(order_id=order.order_id, status=DeliveryStatus.DELIVERED)
    await handle.execute_update(OrderWorkflow.report_delivery_status, delivered)

    result = await handle.result()
    assert (result.status, result.payment_status) == (
        OrderStatus.DELIVERED,
        PaymentStatus.PARTIALLY_REFUNDED,
    )
    assert (await harness.timeline(order.order_id))[-3:] == [
        "refund_requested",
        "payment_refunded",
        "order_delivered",
    ]
