"""Returns in PostgreSQL: the number of the next event decides every race."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from return_harness import (
    NOW,
    create_shipped,
    read_events,
    read_status,
    request_return,
    set_order,
    transition,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.money import Money
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_refunds import RefundReport
from fuze_contracts.order_states import EventType
from fuze_contracts.refund_allocation import RefundedLine, RefundLine
from fuze_contracts.returns import (
    ReturnRefusal,
    ReturnRefused,
    ReturnSnapshot,
    ReturnStatus,
)
from fuze_order.refund_repository import RefundEventRepository
from fuze_order.return_repository import ReturnRepository

Order = Callable[..., PlaceOrder]


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
async def shipped(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    return await create_shipped(engine, make_order)


@pytest.fixture
def repository(engine: AsyncEngine) -> ReturnRepository:
    return ReturnRepository(engine)


async def test_a_return_is_stored_once_with_its_event(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = request_return(shipped, 2)

    outcomes = await asyncio.gather(*(repository.request(request, NOW) for _ in range(3)))

    assert {one.outcome for one in outcomes} == {"return"}
    *_, requested = await read_events(engine, shipped.order_id)
    assert (requested.type, requested.actor, requested.status) == (
        "return_requested",
        "ada",
        "shipped",
    )
    assert requested.details == {
        "return_id": str(request.return_id),
        "reason": "does not fit",
        "lines": [{"line_id": "1", "quantity": 2}],
    }


@pytest.mark.parametrize("read", ["_find", "_count_returnable"])
async def test_a_repeat_that_commits_between_two_reads_refuses_nothing(
    engine: AsyncEngine,
    repository: ReturnRepository,
    shipped: PlaceOrder,
    monkeypatch: pytest.MonkeyPatch,
    read: str,
) -> None:
    request = request_return(shipped, 2)
    original = getattr(repository, read)

    async def read_before_the_repeat(*arguments: Any) -> Any:  # noqa: ANN401 - as of the method
        monkeypatch.undo()
        found = await original(*arguments)
        await ReturnRepository(engine).request(request, NOW)
        return found

    monkeypatch.setattr(repository, read, read_before_the_repeat)

    assert (await repository.request(request, NOW)).outcome == "return"


async def test_of_two_returns_of_the_last_unit_at_once_one_is_refused(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    await repository.request(request_return(shipped, 2), NOW)

    outcomes = await asyncio.gather(
        *(repository.request(request_return(shipped, 1), NOW) for _ in range(4))
    )

    refused = [one for one in outcomes if isinstance(one, ReturnRefused)]
    assert len(refused) == 3
    assert {(one.code, one.line_id, one.returnable) for one in refused} == {
        (ReturnRefusal.MORE_THAN_SHIPPED, "1", 0)
    }
    assert [one.seq for one in await read_events(engine, shipped.order_id)] == [1, 2, 3, 4]


@pytest.mark.parametrize("end", [ReturnStatus.REJECTED, ReturnStatus.CANCELLED])
async def test_the_units_of_a_return_that_ended_without_goods_can_be_returned_again(
    repository: ReturnRepository, shipped: PlaceOrder, end: ReturnStatus
) -> None:
    first = request_return(shipped, 3)
    await repository.request(first, NOW)
    await repository.change(transition(first, end))

    assert isinstance(await repository.request(request_return(shipped, 3), NOW), ReturnSnapshot)


async def test_units_that_are_refunded_by_lines_cannot_be_returned_until_the_refund_fails(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    refund = RefundReport(
        order_id=shipped.order_id,
        refund_id=uuid4(),
        type=EventType.REFUND_REQUESTED,
        amount=Money(amount_minor=3998, currency="USD"),
        actor="grace",
        occurred_at=NOW,
        lines=(RefundedLine(line_id="1", quantity=2, amount_minor=3998),),
    )
    await RefundEventRepository(engine).record(refund)
    refused = await repository.request(request_return(shipped, 2), NOW)
    assert isinstance(refused, ReturnRefused)
    assert refused.returnable == 1

    failed = refund.model_copy(update={"type": EventType.REFUND_FAILED})
    await RefundEventRepository(engine).record(failed)

    assert isinstance(await repository.request(request_return(shipped, 2), NOW), ReturnSnapshot)


@pytest.mark.parametrize("line_id", ["2", "unknown"], ids=["without a parcel", "unknown"])
async def test_a_line_that_was_not_shipped_cannot_be_returned(
    repository: ReturnRepository, shipped: PlaceOrder, line_id: str
) -> None:
    request = request_return(shipped, lines=(RefundLine(line_id=line_id, quantity=1),))

    refused = await repository.request(request, NOW)

    assert isinstance(refused, ReturnRefused)
    assert (refused.line_id, refused.returnable) == (line_id, 0)


async def test_shipping_costs_are_refunded_with_one_return(
    repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    first = request_return(shipped, include_shipping=True)
    await repository.request(first, NOW)
    refused = await repository.request(request_return(shipped, include_shipping=True), NOW)
    await repository.change(transition(first, ReturnStatus.REJECTED))

    again = await repository.request(request_return(shipped, include_shipping=True), NOW)

    assert isinstance(refused, ReturnRefused)
    assert (refused.line_id, refused.returnable) == (None, 0)
    assert isinstance(again, ReturnSnapshot)


async def test_shipping_costs_that_are_refunded_cannot_be_refunded_with_a_return(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    refund = RefundReport(
        order_id=shipped.order_id,
        refund_id=uuid4(),
        type=EventType.REFUND_REQUESTED,
        amount=Money(amount_minor=499, currency="USD"),
        actor="grace",
        occurred_at=NOW,
        lines=(RefundedLine(line_id=None, quantity=1, amount_minor=499),),
    )
    await RefundEventRepository(engine).record(refund)

    refused = await repository.request(request_return(shipped, include_shipping=True), NOW)

    assert isinstance(refused, ReturnRefused)
    assert refused.line_id is None


@pytest.mark.parametrize(
    ("status", "payment_status"),
    [("preparing", "charged"), ("returned", "refunding"), ("shipped", "refunded")],
)
async def test_an_order_without_parcel_or_money_takes_no_return(
    engine: AsyncEngine,
    repository: ReturnRepository,
    shipped: PlaceOrder,
    status: str,
    payment_status: str,
) -> None:
    await set_order(engine, shipped, status=status, payment_status=payment_status)

    refused = await repository.request(request_return(shipped), NOW)

    assert isinstance(refused, ReturnRefused)
    assert refused.code is ReturnRefusal.ORDER_NOT_RETURNABLE


async def test_an_approval_and_a_cancellation_at_once_are_each_recorded_at_most_once(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    await repository.request(request, NOW)

    await asyncio.gather(
        *(
            repository.change(transition(request, status))
            for status in (ReturnStatus.APPROVED, ReturnStatus.CANCELLED, ReturnStatus.CANCELLED)
        )
    )

    recorded = [one.type for one in await read_events(engine, shipped.order_id)][3:]
    assert await read_status(engine, request) == "cancelled"
    assert recorded in (["return_cancelled"], ["return_approved", "return_cancelled"])


async def test_a_return_is_not_received_once_the_carrier_has_returned_the_parcel(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    await repository.request(request, NOW)
    await set_order(engine, shipped, status="returned", payment_status="refunding")

    assert await repository.change(transition(request, ReturnStatus.APPROVED)) is None
    cancelled = await repository.change(transition(request, ReturnStatus.CANCELLED))
    assert cancelled is not None
    assert cancelled.status is ReturnStatus.CANCELLED


async def test_a_change_of_an_unknown_return_is_retried(
    repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    with pytest.raises(LookupError, match="retry"):
        await repository.change(transition(request_return(shipped), ReturnStatus.APPROVED))
