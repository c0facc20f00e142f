"""Orders that track their delivery, over the carrier's signed webhooks."""

from datetime import timedelta

from stack_client import StackClient, eventually, start_order_workflow
from temporalio.client import Client


async def test_an_order_whose_parcel_arrives_is_delivered(
    stack: StackClient, temporal: Client
) -> None:
    order_id = await _start_tracked_order(stack, temporal)

    _report(stack, order_id, "in_transit", "delivered")

    assert stack.wait_for_status(order_id, "delivered")["payment_status"] == "charged"
    assert stack.get_refunds(order_id) == []


async def test_an_order_whose_parcel_comes_back_is_refunded(
    stack: StackClient, temporal: Client
) -> None:
    order_id = await _start_tracked_order(stack, temporal)

    _report(stack, order_id, "in_transit", "returned")

    stack.wait_for_status(order_id, "returned")
    eventually(lambda: stack.get_order(order_id)["payment_status"] == "refunded", "it is refunded")
    assert len(stack.get_refunds(order_id)) == 1


async def _start_tracked_order(stack: StackClient, temporal: Client) -> str:
    order_id = str(
        await start_order_workflow(
            temporal, auto_approve_limit=10_000, delivery_tracking_period=timedelta(days=30)
        )
    )
    eventually(
        lambda: stack.get_status(order_id).get("waiting_for") == "delivery",
        "the order tracks its delivery",
    )
    return order_id


def _report(stack: StackClient, order_id: str, *statuses: str) -> None:
    [parcel] = stack.get_parcels(order_id)
    for status in statuses:
        stack.post_sandbox(f"/carrier/parcels/{parcel['id']}/report", {"status": status})
