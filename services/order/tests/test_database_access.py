"""What the database's roles may do, and what the order service publishes to the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import sqlalchemy as sa
from order_harness import build_receipt
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import Adjustment, AdjustmentKind, OrderLine
from fuze_contracts.read_models import (
    EVENT_FEED_VIEW,
    EVENTS_VIEW,
    ORDERS_VIEW,
    PublishedEvent,
    PublishedFeedEvent,
    PublishedOrder,
    PublishedOrderWithLines,
)
from fuze_order.repository import OrderRepository

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]


@pytest.fixture
def engine(engine_of: EngineOf) -> AsyncEngine:
    return engine_of("order")


async def _store(engine: AsyncEngine, order: PlaceOrder) -> None:
    receipt = build_receipt(order, run_id="first", occurred_at=datetime.now(UTC))
    await OrderRepository(engine).create(receipt)


async def _read_published(engine_of: EngineOf, order: PlaceOrder) -> PublishedOrderWithLines:
    query = sa.select(sa.text("*")).select_from(sa.text(ORDERS_VIEW))
    query = query.where(sa.text("order_id = :id"))
    async with engine_of("gateway").connect() as connection:
        row = (await connection.execute(query, {"id": order.order_id})).mappings().one()
    return PublishedOrderWithLines.model_validate(row)


async def test_what_an_order_costs_is_published_with_its_lines_and_adjustments(
    engine: AsyncEngine, engine_of: EngineOf, make_order: Order
) -> None:
    lines = (
        OrderLine(sku="A", quantity=2, unit_price_minor=1000, discount_minor=300, tax_minor=20),
        OrderLine(sku="A", quantity=1, unit_price_minor=0, name="A free one", line_id="gift"),
    )
    shipping = Adjustment(kind=AdjustmentKind.SHIPPING, label="Express", amount_minor=499)
    order = make_order(lines=lines, adjustments=(shipping,))
    await _store(engine, order)

    published = await _read_published(engine_of, order)

    assert [OrderLine.model_validate(line) for line in published.lines] == list(order.lines)
    assert [line["line_id"] for line in published.lines] == ["1", "gift"]
    assert published.adjustments == [shipping.model_dump()]
    assert (published.subtotal_minor, published.discount_minor) == (2000, 300)
    assert (published.shipping_minor, published.tax_minor, published.fee_minor) == (499, 20, 0)
    assert published.total_minor == 2219


async def test_the_fields_of_the_caller_are_published(
    engine: AsyncEngine, engine_of: EngineOf, make_order: Order
) -> None:
    fields = {
        "reference": "WEB-1",
        "metadata": {"po_number": "PO-1"},
        "customer": "cus_1815",
        "customer_email": "ada@example.com",
        "customer_name": "Ada Lovelace",
    }
    order = make_order(**fields)
    await _store(engine, order)

    published = await _read_published(engine_of, order)

    assert {name: getattr(published, name) for name in fields} == fields


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders.events SET actor = 'x'",
        "DELETE FROM orders.events",
        "DELETE FROM orders.orders",
        "TRUNCATE orders.events",
        "CREATE TABLE orders.more (id int)",
        "SELECT * FROM payments.payments",
        "SELECT * FROM shipping.shipments",
    ],
)
async def test_the_services_role_may_not(engine: AsyncEngine, statement: str) -> None:
    async with engine.connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM orders.orders",
        "SELECT * FROM orders.events",
        "SELECT * FROM orders.order_lines",
        "SELECT * FROM orders.order_adjustments",
        "SELECT * FROM payments.payments",
        "SELECT * FROM payments.ledger_entries",
        "SELECT * FROM shipping.shipments",
        "UPDATE orders.published_orders SET reason = 'x'",
        "DELETE FROM orders.published_events",
        "CREATE TABLE public.mine (id int)",
    ],
)
async def test_the_gateways_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("gateway").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))


async def test_the_published_views_have_the_columns_of_their_contracts(engine_of: EngineOf) -> None:
    async with engine_of("gateway").connect() as connection:
        for view, row in (
            (ORDERS_VIEW, PublishedOrderWithLines),
            (EVENTS_VIEW, PublishedEvent),
            (EVENT_FEED_VIEW, PublishedFeedEvent),
        ):
            found = await connection.execute(sa.text(f"TABLE {view} LIMIT 0"))
            assert set(found.keys()) == row.model_fields.keys()


async def test_an_order_that_is_published_reads_as_its_contract(
    engine: AsyncEngine, engine_of: EngineOf, make_order: Order
) -> None:
    order = make_order(order_id=uuid4())
    await _store(engine, order)

    async with engine_of("gateway").connect() as connection:
        query = sa.select(sa.text("*")).select_from(sa.text(ORDERS_VIEW))
        query = query.where(sa.text("order_id = :id"))
        row = (await connection.execute(query, {"id": order.order_id})).mappings().one()
    assert PublishedOrder.model_validate(dict(row)).fingerprint == "a-fingerprint"
