"""The recipes of docs/how-to/runbook.md, and what operators do in Temporal by mistake.

They use the same command lines as an operator: `temporal`, `fuze` and the API.
"""

import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from stack_client import TEAPOTS, StackClient, eventually
from temporalio.client import Client

from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id

_TEMPORAL = Path(sysconfig.get_path("scripts")) / "temporal"


def run_temporal(stack: StackClient, *command: str) -> None:
    """Run a command of Temporal's command line, which must succeed, and confirm it."""
    address = stack.connection_info["temporal"]["address"]
    done = subprocess.run(
        [str(_TEMPORAL), *command, "--address", address],
        input="y\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def reset(stack: StackClient, order_id: str, kind: str) -> None:
    workflow_id = order_workflow_id(UUID(order_id))
    options = ("--type", kind, "--reason", "a test")
    run_temporal(stack, "workflow", "reset", "--workflow-id", workflow_id, *options)


@contextmanager
def outage(stack: StackClient, part: str) -> Iterator[None]:
    """Make the `psp` or the `carrier` unavailable for the length of a block."""
    stack.configure_sandbox(part, available=False)
    try:
        yield
    finally:
        stack.configure_sandbox(part, available=True)


def start_failing_shipment(stack: StackClient) -> str:
    """Start an order that waits for the carrier, which is unavailable."""
    order_id = stack.start_approved_order()
    eventually(
        lambda: stack.has_failing_activity(order_id, "shipment_dispatched"),
        "the carrier is unavailable",
    )
    return order_id


async def get_activity_id(temporal: Client, workflow_id: str, name: str) -> str:
    described = await temporal.get_workflow_handle(workflow_id).describe()
    [found] = [
        one.activity_id
        for one in described.raw_description.pending_activities
        if one.activity_type.name == name
    ]
    return str(found)


def assert_shipped_once(stack: StackClient, order_id: str) -> None:
    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_charges(order_id)) == 1
    assert len(stack.get_parcels(order_id)) == 1


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
    def is_cancelled() -> bool:
        """Cancel again if need be: it is refused while the carrier is being called."""
        if stack.get_status(order_id)["status"] == "preparing":
            stack.post(f"/orders/{order_id}/cancel")
        return bool(stack.get_status(order_id)["status"] == "cancelled")

    with outage(stack, "carrier"):
        order_id = start_failing_shipment(stack)
        await temporal.get_workflow_handle(order_workflow_id(order_id)).terminate("by mistake")

        recovered = stack.post(f"/orders/{order_id}/recover", {"actor": "grace", "then": "cancel"})
        eventually(is_cancelled, "the order is cancelled")

    assert recovered.status_code == 202
    [charge], [refund] = stack.get_charges(order_id), stack.get_refunds(order_id)
    assert refund["amount_minor"] == charge["amount_minor"]
    assert stack.get_parcels(order_id) == []


async def test_all_orders_without_a_workflow_are_recovered_by_one_command(
    stack: StackClient,
) -> None:
    order_ids = [stack.start_order() for _ in range(2)]
    for order_id, command in zip(order_ids, ("terminate", "delete"), strict=True):
        stack.wait_for_status(order_id, "awaiting_approval")
        workflow_id = order_workflow_id(UUID(order_id))
        run_temporal(stack, "workflow", command, "--workflow-id", workflow_id)
    for order_id in order_ids:
        eventually(
            lambda order_id=order_id: stack.get(f"/orders/{order_id}").json()[
                "workflow_missing_at"
            ],
            "the comparison flags the order",
        )

    output = stack.run("recover", "--actor", "grace")
    repeated = stack.run("recover", "--actor", "grace")

    for order_id in order_ids:
        assert f"{order_id}  recovered" in output
        assert f"{order_id}  recovered" not in repeated
        stack.approve(order_id)
        assert_shipped_once(stack, order_id)
        assert "order_recovered" in stack.get_event_types(order_id)


async def test_an_order_without_a_workflow_is_recovered_by_the_same_request(
    stack: StackClient,
) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    workflow_id = order_workflow_id(UUID(order_id))
    run_temporal(stack, "workflow", "terminate", "--workflow-id", workflow_id)

    repeated = stack.post(f"/orders/{order_id}/start", TEAPOTS)
    stack.approve(order_id)

    assert repeated.status_code == 202
    assert_shipped_once(stack, order_id)


async def test_a_workflow_that_is_cancelled_in_temporal_cancels_its_order(
    stack: StackClient,
) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")

    workflow_id = order_workflow_id(UUID(order_id))
    run_temporal(stack, "workflow", "cancel", "--workflow-id", workflow_id)

    stack.wait_for_status(order_id, "cancelled")


@pytest.mark.proof
async def test_orders_that_are_reset_while_they_ship_are_charged_and_shipped_once(
    stack: StackClient,
) -> None:
    with outage(stack, "carrier"):
        order_ids = [start_failing_shipment(stack) for _ in range(2)]
        for order_id, kind in zip(
            order_ids, ("FirstWorkflowTask", "LastWorkflowTask"), strict=True
        ):
            reset(stack, order_id, kind)

    for order_id in order_ids:
        assert_shipped_once(stack, order_id)


async def test_an_order_whose_shipment_is_terminated_requests_it_again(
    stack: StackClient,
) -> None:
    with outage(stack, "carrier"):
        order_id = start_failing_shipment(stack)
        workflow_id = shipping_workflow_id(UUID(order_id))
        run_temporal(stack, "workflow", "terminate", "--workflow-id", workflow_id)

    assert_shipped_once(stack, order_id)


@pytest.mark.proof
async def test_a_paused_activity_waits_until_it_is_unpaused(
    stack: StackClient, temporal: Client
) -> None:
    with outage(stack, "carrier"):
        order_id = start_failing_shipment(stack)
        workflow_id = shipping_workflow_id(UUID(order_id))
        activity_id = await get_activity_id(temporal, workflow_id, "shipment_dispatched")
        target = ("--workflow-id", workflow_id, "--activity-id", activity_id)
        run_temporal(stack, "activity", "pause", *target)

    def is_paused() -> bool:
        live = stack.get_status(order_id)["live"]
        return any(one["state"] == "paused" for one in live["pending_activities"])

    eventually(is_paused, "the status says that the activity is paused")
    run_temporal(stack, "activity", "unpause", *target)

    assert_shipped_once(stack, order_id)


async def test_a_charge_that_an_operator_failed_is_retried_on_request(
    stack: StackClient, temporal: Client
) -> None:
    stack.pause_requests("psp", "after_write")
    try:
        order_id = stack.start_approved_order()
        stack.wait_for_paused_request("psp")
        workflow_id = order_workflow_id(UUID(order_id))
        activity_id = await get_activity_id(temporal, workflow_id, "payment_charged")
        target = ("--workflow-id", workflow_id, "--activity-id", activity_id)
        run_temporal(stack, "activity", "fail", *target, "--reason", "a test")
        eventually(
            lambda: stack.get(f"/orders/{order_id}").json()["needs_attention"],
            "the order needs attention",
        )
    finally:
        stack.configure_sandbox("psp")

    retried = stack.post(f"/orders/{order_id}/retry", {"actor": "grace"})

    assert retried.status_code == 200
    assert_shipped_once(stack, order_id)


async def test_workers_that_run_are_seen_to_poll_their_queues(stack: StackClient) -> None:
    queues = stack.get("/task-queues").json()["task_queues"]

    assert [one["name"] for one in queues] == ["order", "payment", "shipping", "webhooks"]
    assert not any(one["needs_attention"] for one in queues)
    assert all(one["last_polled_at"] for one in queues)
