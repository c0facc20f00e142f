"""Orders with lines that are not shipped: downloads, gift cards, services."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from order_harness import OrderHarness, run_workers, until, waits_for
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from fuze_contracts import payment
from fuze_contracts.order import (
    ORDER_REJECTED,
    CancelOrder,
    ChangePaymentMethod,
    PlaceOrder,
    Recovery,
)
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.shipping import ParcelItem
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

_BOOK = OrderLine(sku="BOOK", quantity=1, unit_price_minor=2000)
_EBOOK = OrderLine(sku="EBOOK", quantity=1, unit_price_minor=999, requires_shipping=False)


@pytest.fixture
def make_download(make_order: Order) -> Order:
    """Make an order of one e-book, without an address."""

    def build(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - a message's fields
        return make_order(**({"lines": (_EBOOK,), "address": None} | changes))

    return build


async def test_an_order_without_anything_to_ship_is_completed_once_it_is_paid(
    harness: OrderHarness, make_download: Order
) -> None:
    order = make_download()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)

    result = await handle.result()

    assert (result.status, result.payment_status) == (OrderStatus.COMPLETED, PaymentStatus.CHARGED)
    assert await harness.timeline(order.order_id) == [
        *("order_received", "order_validated", "order_approved", "payment_charged"),
        "order_completed",
    ]
    shipment = harness.environment.client.get_workflow_handle(shipping_workflow_id(order.order_id))
    with pytest.raises(RPCError, match="not found"):
        await shipment.describe()


async def test_a_free_order_without_anything_to_ship_is_completed(
    harness: OrderHarness, make_download: Order
) -> None:
    free = _EBOOK.model_copy(update={"discount_minor": 999})
    handle = await harness.place(make_download(lines=(free,), payment_method=None))
    await handle.signal(OrderWorkflow.approve)

    assert (await handle.result()).status is OrderStatus.COMPLETED


async def test_only_the_lines_that_require_shipping_are_in_the_parcel(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(lines=(_BOOK, _EBOOK, _BOOK.model_copy(update={"unit_price_minor": 0})))
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)

    assert (await handle.result()).status is OrderStatus.SHIPPED
    assert harness.shipping.items[order.order_id] == (ParcelItem(sku="BOOK", quantity=1),) * 2


async def test_another_payment_method_completes_it_after_a_decline(
    harness: OrderHarness, make_download: Order
) -> None:
    harness.payments.outcome = payment.Declined(code="card_declined")
    handle = await harness.place(make_download())
    await handle.signal(OrderWorkflow.approve)
    await until(handle, waits_for(WaitingFor.PAYMENT_METHOD))
    harness.payments.outcome = None

    method = ChangePaymentMethod(payment_method="pm_other")
    await handle.execute_update(OrderWorkflow.change_payment_method, method)

    assert (await handle.result()).status is OrderStatus.COMPLETED


async def test_it_is_cancelled_while_it_is_charged(
    harness: OrderHarness, make_download: Order
) -> None:
    handle = await harness.charging(make_download())

    await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder(actor="ada"))

    assert (await handle.result()).status is OrderStatus.CANCELLED
    assert len(harness.payments.voided) == 1


async def test_it_is_completed_after_a_recovery(
    without_workers: OrderHarness, make_download: Order
) -> None:
    order, harness = make_download(), without_workers
    recovery = Recovery(actor="grace", received_at=datetime.now(UTC))
    async with run_workers(harness, OrderRepository(harness.engine)):
        handle = await harness.charging(order)
        await handle.terminate("by mistake")
        harness.payments.may_answer.set()

        recovered = await harness.place(order.model_copy(update={"recovery": recovery}))

        assert (await recovered.result()).status is OrderStatus.COMPLETED


async def test_an_order_that_is_shipped_is_rejected_without_an_address(
    harness: OrderHarness, make_order: Order
) -> None:
    assert await _rejection(harness, make_order(address=None)) == "address_missing"


async def test_an_order_above_the_limit_of_its_currency_is_rejected(
    harness: OrderHarness, make_download: Order
) -> None:
    order = make_download(lines=(_EBOOK.model_copy(update={"quantity": 1002}),))

    assert await _rejection(harness, order) == "total_above_limit"
    assert await harness.timeline(order.order_id) == ["order_received", "order_rejected"]


async def _rejection(harness: OrderHarness, order: PlaceOrder) -> str:
    """Return the code of the violation with which the order's workflow fails."""
    handle = await harness.place(order)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == ORDER_REJECTED
    assert cause.non_retryable
    [[violation]] = cause.details
    return str(violation["code"])
