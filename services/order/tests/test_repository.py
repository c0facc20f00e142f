"""The order service's SQL, on a real PostgreSQL, as the service's own role."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from order_harness import build_receipt
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.address import Address
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import Adjustment, OrderLine
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order.messages import InsertFailure, ReceiveOrder, Transition
from fuze_order.repository import OrderRepository
from fuze_order.tables import events, order_lines, orders

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def engine(engine_of: EngineOf) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
def repository(engine: AsyncEngine) -> OrderRepository:
    return OrderRepository(engine)


def _receive(order: PlaceOrder, run_id: str = "first") -> ReceiveOrder:
    return build_receipt(order, run_id=run_id, occurred_at=_NOW)


def _approved(order: PlaceOrder, **changes: Any) -> Transition:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": order.order_id,
        "seq": 3,
        "type": EventType.ORDER_APPROVED,
        "status": OrderStatus.APPROVED,
        "payment_status": PaymentStatus.PENDING,
        "actor": "grace",
        "occurred_at": _NOW,
    }
    return Transition(**(fields | changes))


@pytest.fixture
async def stored(repository: OrderRepository, make_order: Order) -> PlaceOrder:
    """An order that awaits approval."""
    order = make_order()
    await repository.create(_receive(order))
    return order


async def _rows(engine: AsyncEngine, table: sa.Table, order: PlaceOrder) -> list[dict[str, Any]]:
    column = table.c.id if table is orders else table.c.order_id
    async with engine.connect() as connection:
        found = await connection.execute(sa.select(table).where(column == order.order_id))
        return [dict(row) for row in found.mappings()]


async def test_a_received_order_is_written_with_its_lines_and_first_events(
    engine: AsyncEngine, repository: OrderRepository, make_order: Order
) -> None:
    order = make_order()

    command = _receive(order)

    assert await repository.create(command) == command.outcome

    [row] = await _rows(engine, orders, order)
    assert (row["status"], row["total_minor"], row["last_seq"]) == ("awaiting_approval", 5997, 2)
    assert [line["sku"] for line in await _rows(engine, order_lines, order)] == ["TEAPOT-1"]
    found = await _rows(engine, events, order)
    assert [event["type"] for event in found] == ["order_received", "order_validated"]
    assert [event["status"] for event in found] == ["received", "awaiting_approval"]


async def test_an_order_without_an_address_is_stored(
    engine: AsyncEngine, repository: OrderRepository, make_order: Order
) -> None:
    order = make_order(address=None)

    assert isinstance(await repository.create(_receive(order)), Transition)
    [row] = await _rows(engine, orders, order)
    assert row["address"] is None


async def test_receiving_again_writes_nothing_twice(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    assert isinstance(await repository.create(_receive(stored)), Transition)
    assert len(await _rows(engine, events, stored)) == 2


async def test_receiving_an_order_again_returns_how_far_it_has_come(
    repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored))

    found = await repository.create(_receive(stored))

    assert isinstance(found, Transition)
    assert (found.seq, found.type) == (3, EventType.ORDER_APPROVED)


async def test_another_workflow_cannot_take_an_order_id_that_is_used(
    repository: OrderRepository, stored: PlaceOrder
) -> None:
    assert await repository.create(_receive(stored, run_id="second")) is InsertFailure.ID_TAKEN


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "usd"},
        {"lines": (OrderLine(sku="A", quantity=1, unit_price_minor=-5),)},
        {"lines": (OrderLine(sku="A", quantity=2**40, unit_price_minor=1),)},
        {"customer": "nul \0"},
        {"adjustments": (Adjustment(kind="fee", label="A fee", amount_minor=-1),)},
        {"lines": (OrderLine(sku="A", quantity=1, unit_price_minor=1, line_id="a"),) * 2},
    ],
)
async def test_values_that_postgresql_cannot_store_are_rejected(
    engine: AsyncEngine, repository: OrderRepository, make_order: Order, changes: dict[str, Any]
) -> None:
    order = make_order(**changes)

    assert await repository.create(_receive(order)) is InsertFailure.INVALID_VALUES
    assert await _rows(engine, orders, order) == []


async def test_the_row_has_the_normalised_addresses_and_the_event_the_callers_spelling(
    engine: AsyncEngine, repository: OrderRepository, make_order: Order
) -> None:
    address = Address(country="CA", postal_code="K1A 0B1")
    order = make_order(
        address=address,
        entered_address=address.model_copy(update={"postal_code": "k1a-0b1"}),
        billing_address=Address(country="DE", company="Musterfirma"),
    )

    await repository.create(_receive(order))

    [row] = await _rows(engine, orders, order)
    assert row["address"] == address.model_dump()
    assert row["billing_address"]["company"] == "Musterfirma"
    received, _ = await _rows(engine, events, order)
    assert received["details"]["address"] == {"country": "CA", "postal_code": "k1a-0b1"}
    assert received["details"]["billing_address"] == {"country": "DE", "company": "Musterfirma"}


async def test_a_transition_writes_the_event_and_moves_the_row(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(
        _approved(
            stored, address=Address(country="US", postal_code="94105"), details={"note": "moved"}
        )
    )

    [row] = await _rows(engine, orders, stored)
    assert (row["status"], row["last_seq"]) == ("approved", 3)
    assert row["address"]["postal_code"] == "94105"
    assert (await _rows(engine, events, stored))[2]["details"] == {"note": "moved"}


def _charged_and_started(order: PlaceOrder) -> list[Transition]:
    charged = _approved(
        order,
        seq=4,
        type=EventType.PAYMENT_CHARGED,
        status=OrderStatus.PAID,
        payment_status=PaymentStatus.CHARGED,
    )
    started = {"seq": 5, "type": EventType.SHIPPING_STARTED, "status": OrderStatus.PREPARING}
    return [charged, charged.model_copy(update=started)]


async def test_two_transitions_are_written_at_once_and_in_order(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored))
    both = _charged_and_started(stored)

    assert await repository.record(*both) == both[-1]
    assert (await repository.record(*both)).seq == 5

    [row] = await _rows(engine, orders, stored)
    assert (row["status"], row["last_seq"]) == ("preparing", 5)
    written = (await _rows(engine, events, stored))[3:]
    assert [event["type"] for event in written] == ["payment_charged", "shipping_started"]
    assert written[0]["transaction_id"] == written[1]["transaction_id"]
    assert written[0]["position"] < written[1]["position"]


async def test_of_two_transitions_none_is_written_where_the_first_number_is_taken(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored))
    charged, started = _charged_and_started(stored)
    await repository.record(charged)

    committed = await repository.record(charged, started)

    assert (committed.seq, committed.type) == (4, EventType.PAYMENT_CHARGED)
    assert len(await _rows(engine, events, stored)) == 4


async def test_a_repeated_transition_changes_nothing(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored))

    await repository.record(_approved(stored, reason="said by the repeat"))

    [row] = await _rows(engine, orders, stored)
    assert row["reason"] is None
    assert len(await _rows(engine, events, stored)) == 3


async def test_a_taken_number_returns_the_latest_committed_transition(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored))
    await repository.record(
        _approved(
            stored,
            seq=4,
            type=EventType.ADDRESS_CHANGED,
            actor="ada",
            reason="moved",
            address=Address(country="US", postal_code="94105"),
        )
    )

    committed = await repository.record(
        _approved(stored, type=EventType.ORDER_CANCELLED, status=OrderStatus.CANCELLED)
    )

    assert (committed.seq, committed.type) == (4, EventType.ADDRESS_CHANGED)
    assert (committed.status, committed.actor) == (OrderStatus.APPROVED, "ada")
    assert (committed.reason, committed.address) == (
        "moved",
        Address(country="US", postal_code="94105"),
    )
    assert committed.payment_token == stored.payment_token
    [row] = await _rows(engine, orders, stored)
    assert (row["status"], row["last_seq"]) == ("approved", 4)


async def test_a_text_that_postgresql_cannot_hold_does_not_stop_an_order(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    await repository.record(_approved(stored, actor="a\0b", details={"why": ["c\0d"]}))

    event = (await _rows(engine, events, stored))[2]
    assert (event["actor"], event["details"]) == ("a\ufffdb", {"why": ["c\ufffdd"]})


async def test_a_transition_that_would_leave_a_gap_is_an_error_and_leaves_no_event(
    engine: AsyncEngine, repository: OrderRepository, stored: PlaceOrder
) -> None:
    with pytest.raises(LookupError):
        await repository.record(_approved(stored, seq=4))
    assert len(await _rows(engine, events, stored)) == 2
