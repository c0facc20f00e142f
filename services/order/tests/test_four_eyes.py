"""Four eyes: who placed an order does not approve it, and an approved address stays."""

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from order_harness import Handle, OrderHarness, until, waits_for
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from fuze_contracts.address import Address
from fuze_contracts.order import (
    ADDRESS_NEEDS_APPROVAL,
    APPROVER_PLACED_ORDER,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    OrderSignal,
    PlaceOrder,
)
from fuze_contracts.order_states import OrderStatus, WaitingFor
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

SHOP, GRACE = "api-key:shop", "oidc:grace"
ELSEWHERE = ChangeAddress(address=Address(country="US", postal_code="94105"), actor="ada")


@pytest.fixture
def order(make_order: Order) -> PlaceOrder:
    return make_order(four_eyes=True, owner=SHOP)


async def _refusal(handle: Handle, update: object, request: object) -> str | None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(update, request)  # type: ignore[call-overload] # any of them
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


async def _end(handle: Handle) -> None:
    """Cancel the order: an open one would go on, and stop the clock, in the tests after it."""
    await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder())
    await handle.result()


@pytest.mark.parametrize("caller", [SHOP, None], ids=["who placed it", "unknown"])
async def test_who_placed_an_order_does_not_approve_it(
    harness: OrderHarness, order: PlaceOrder, caller: str | None
) -> None:
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))
    approval = ApproveOrder(actor="grace", caller=caller)

    assert await _refusal(handle, OrderWorkflow.approve_order, approval) == APPROVER_PLACED_ORDER
    await handle.signal(OrderWorkflow.approve, approval)

    rejection = await handle.query(
        OrderWorkflow.signal_rejection, args=[OrderSignal.APPROVE, caller]
    )
    assert rejection == APPROVER_PLACED_ORDER
    assert (await handle.query(OrderWorkflow.status)).status is OrderStatus.AWAITING_APPROVAL
    await _end(handle)


async def test_another_caller_approves_it(harness: OrderHarness, order: PlaceOrder) -> None:
    handle = await harness.place(order)

    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(caller=GRACE))

    assert (await handle.result()).status is OrderStatus.SHIPPED


async def test_without_four_eyes_who_placed_an_order_approves_it(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order(owner=SHOP))

    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(caller=SHOP))

    assert (await handle.result()).status is OrderStatus.SHIPPED


async def test_an_order_below_the_limit_needs_no_approval_of_a_person(
    harness: OrderHarness, order: PlaceOrder
) -> None:
    handle = await harness.place(order.model_copy(update={"auto_approve_limit": 10_000}))

    assert (await handle.result()).status is OrderStatus.SHIPPED


async def test_the_address_changes_before_the_approval_and_not_after_it(
    harness: OrderHarness, order: PlaceOrder
) -> None:
    harness.payments.may_answer.clear()
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(caller=GRACE))

    refused = await _refusal(handle, OrderWorkflow.change_order_address, ELSEWHERE)
    await handle.signal(OrderWorkflow.change_address, ELSEWHERE)
    harness.payments.may_answer.set()
    await handle.result()

    assert refused == ADDRESS_NEEDS_APPROVAL
    assert (await harness.timeline(order.order_id)).count("address_changed") == 1


async def test_an_approval_of_the_address_before_does_not_count(
    harness: OrderHarness, order: PlaceOrder, engine_of: Callable[[str], AsyncEngine]
) -> None:
    async with engine_of("order_migrator").begin() as blocking:
        await blocking.execute(sa.text("LOCK TABLE orders.orders IN EXCLUSIVE MODE"))
        handle = await harness.place(order)
        await handle.signal(OrderWorkflow.change_address, ELSEWHERE)
        await handle.signal(OrderWorkflow.approve, ApproveOrder(caller=GRACE))
        async with asyncio.timeout(20):
            while not await handle.query(
                OrderWorkflow.signal_rejection, args=[OrderSignal.APPROVE, GRACE]
            ):
                await asyncio.sleep(0.02)

    await until(handle, lambda status: status.last_seq == 3)
    await until(handle, waits_for(WaitingFor.APPROVAL))

    assert (await harness.timeline(order.order_id))[-1] == "address_changed"
    await _end(handle)
