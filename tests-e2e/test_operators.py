"""What operators do in Temporal by mistake loses no order, no money and no goods."""

from stack_client import StackClient, eventually
from temporalio.client import Client

from fuze_contracts.workflow_ids import order_workflow_id


async def test_an_order_whose_workflow_is_terminated_is_flagged_and_recovered(
    stack: StackClient, temporal: Client
) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    await temporal.get_workflow_handle(order_workflow_id(order_id)).terminate("by mistake")

    refused = stack.post(f"/orders/{order_id}/approve")
    eventually(
        lambda: stack.get(f"/orders/{order_id}").json()["workflow_missing_at"],
        "the comparison flags the order",
    )
    listed = stack.get("/orders?needs_attention=true").json()["orders"]
    recovered = stack.post(f"/orders/{order_id}/recover", {"actor": "grace"})
    stack.approve(order_id)

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/workflow-missing")
    assert order_id in [one["order_id"] for one in listed]
    assert recovered.status_code == 202
    stack.wait_for_status(order_id, "shipped")
    order = stack.get(f"/orders/{order_id}").json()
    assert (order["workflow_missing_at"], order["needs_attention"]) == (None, False)
    assert len(stack.get_charges(order_id)) == 1
    assert len(stack.get_parcels(order_id)) == 1


async def test_an_order_terminated_while_it_ships_can_be_cancelled_with_everything_undone(
    stack: StackClient, temporal: Client
) -> None:
    stack.configure_sandbox("carrier", available=False)
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "preparing")
    eventually(
        lambda: stack.has_failing_activity(order_id, "shipment_dispatched"),
        "the carrier is unavailable",
    )
    await temporal.get_workflow_handle(order_workflow_id(order_id)).terminate("by mistake")

    recovered = stack.post(f"/orders/{order_id}/recover", {"actor": "grace", "then": "cancel"})
    stack.wait_for_status(order_id, "cancelled")
    stack.configure_sandbox("carrier", available=True)

    assert recovered.status_code == 202
    [charge], [refund] = stack.get_charges(order_id), stack.get_refunds(order_id)
    assert refund["amount_minor"] == charge["amount_minor"]
    assert stack.get_parcels(order_id) == []
