"""Orders that follow their parcel, over the carrier's signed webhooks."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from running_stack import Stack, eventually
from temporalio.client import Client

from fuze_contracts.order import ORDER_TASK_QUEUE, OrderLine, OrderWorkflow, PlaceOrder
from fuze_contracts.shipping import Address
from fuze_contracts.workflow_ids import order_workflow_id


async def _shipped(stack: Stack, temporal: Client) -> UUID:
    order_id = uuid4()
    await temporal.start_workflow(
        OrderWorkflow.run,
        PlaceOrder(
            order_id=order_id,
            address=Address(zip_code="10001"),
            fingerprint="a-fingerprint",
            lines=(OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            payment_method="pm_card_visa",
            payment_token=f"{order_id}:1",
            auto_approve_limit=10_000,
            delivery_tracking_period=timedelta(days=30),
        ),
        id=order_workflow_id(order_id),
        task_queue=ORDER_TASK_QUEUE,
    )
    eventually(
        lambda: stack.status(str(order_id)).get("waiting_for") == "delivery",
        "the order follows its parcel",
    )
    return order_id


def _report(stack: Stack, order_id: UUID, *states: str) -> None:
    [parcel] = stack.parcels(str(order_id))
    url = f"{stack.facts['sandbox']['url']}/carrier/parcels/{parcel['id']}/report"
    for state in states:
        stack.http.post(url, json={"status": state}).raise_for_status()


@pytest.mark.parametrize(
    ("states", "status", "payment_status"),
    [
        (["in_transit", "delivered"], "delivered", "charged"),
        (["in_transit", "returned"], "returned", "refunded"),
    ],
)
async def test_the_carriers_word_ends_the_order(
    stack: Stack, temporal: Client, states: list[str], status: str, payment_status: str
) -> None:
    order_id = await _shipped(stack, temporal)

    _report(stack, order_id, *states)

    stack.wait_for(str(order_id), status)
    eventually(
        lambda: stack.status(str(order_id))["payment_status"] == payment_status,
        f"the payment is {payment_status}",
    )
    refunds = stack.get(f"/psp/refunds?order_id={order_id}", "sandbox").json()["refunds"]
    assert len(refunds) == (1 if status == "returned" else 0)
