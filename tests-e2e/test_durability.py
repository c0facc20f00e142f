"""What an order survives. Each test breaks a part of the stack for real, and repairs it."""

import asyncio
from functools import partial
from typing import Any

from stack_client import StackClient, eventually
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id


def test_an_order_worker_killed_between_approval_and_charge_ships_the_order_once(
    stack: StackClient,
) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.configure_sandbox("psp", available=False)
    stack.approve(order_id)
    eventually(lambda: _is_charging(stack, order_id), "the order waits for its charge")

    stack.kill("order")
    stack.configure_sandbox("psp", available=True)
    stack.run("restart", "order")

    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_charges(order_id)) == 1
    assert len(stack.get_parcels(order_id)) == 1
    assert stack.get_event_types(order_id).count("payment_charged") == 1


def test_an_approval_sent_while_no_order_worker_runs_is_not_lost(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.kill("order")

    stack.approve(order_id)
    without_worker = stack.get_status(order_id)
    stack.run("restart", "order")

    assert without_worker["status"] == "awaiting_approval"
    assert without_worker["unavailable"] == {"live": "no_worker"}
    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_charges(order_id)) == 1


async def test_a_worker_that_gets_sigterm_finishes_its_charge(
    stack: StackClient, temporal: Client
) -> None:
    stack.configure_sandbox("psp", delay_seconds=2)
    order_id = stack.start_approved_order()
    eventually(lambda: _is_charging(stack, order_id), "the charge is in progress")

    stack.terminate("payment")

    stack.wait_for_status(order_id, "shipped")
    stack.configure_sandbox("psp")
    stack.run("restart", "payment")
    history = await temporal.get_workflow_handle(order_workflow_id(order_id)).fetch_history()
    started = [event.activity_task_started_event_attributes for event in history.events]
    assert {one.attempt for one in started if one.attempt} == {1}
    eventually(
        lambda: "payment     exited with code 0" in stack.supervisor_output, "it exited with code 0"
    )


def test_every_service_ends_with_code_0_on_sigterm(stack: StackClient) -> None:
    services = ("order", "payment", "shipping", "webhooks", "gateway")
    before = {service: _count_good_ends(stack, service) for service in services}

    for service in services:
        stack.run("kill", service, "--signal", "TERM")

    for service, count in before.items():
        eventually(partial(_has_ended_well, stack, service, count + 1), f"{service} ends with 0")
    stack.run("restart", *services)

    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "shipped")


def test_a_database_outage_delays_orders_and_loses_none(stack: StackClient) -> None:
    """While it lasts, the gateway answers from what Temporal knows."""
    waiting = stack.start_order()
    stack.wait_for_status(waiting, "awaiting_approval")
    stack.kill("postgres")

    stack.approve(waiting)
    started_meanwhile = stack.start_order()
    # The workers' own quick attempts are over when Temporal retries the step.
    eventually(
        lambda: stack.has_failing_activity(waiting, "transitions_recorded"),
        "the server retries the step that needs the database",
    )
    live_only = stack.get_status(waiting)
    stack.run("restart", "postgres")
    stack.approve(started_meanwhile)

    assert live_only["live"]["waiting_for"] == "database"
    assert live_only["unavailable"] == {"durable": "database_unavailable"}
    assert "SELECT" not in str(live_only)
    for order_id in (waiting, started_meanwhile):
        stack.wait_for_status(order_id, "shipped")
        assert len(stack.get_charges(order_id)) == 1


def test_a_temporal_outage_leaves_the_durable_status(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.kill("temporal")

    durable_only = stack.get_status(order_id)
    unavailable = stack.post(f"/orders/{order_id}/signals/approve")
    stack.run("restart", "temporal")

    assert durable_only["status"] == "awaiting_approval"
    assert durable_only["live"] is None
    assert (unavailable.status_code, "retry-after" in unavailable.headers) == (503, True)
    eventually(
        lambda: stack.post(f"/orders/{order_id}/signals/approve").status_code == 202,
        "the approval is accepted",
    )
    stack.wait_for_status(order_id, "shipped")


def test_a_carrier_outage_delays_the_parcel(stack: StackClient) -> None:
    stack.configure_sandbox("carrier", available=False)
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "preparing")
    [pending] = eventually(
        lambda: [
            one
            for one in (stack.get_status(order_id)["live"] or {}).get("pending_activities", [])
            if one["name"] == "shipment_dispatched" and one["last_failure"]
        ],
        "the status shows why the step fails",
    )
    assert pending["attempt"] >= 2
    assert "503" in pending["last_failure"]

    stack.configure_sandbox("carrier", available=True)

    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_parcels(order_id)) == 1


def test_a_gateway_that_is_killed_and_restarted_loses_no_order(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.kill("gateway")
    stack.run("restart", "gateway")

    stack.wait_for_status(order_id, "awaiting_approval")
    stack.approve(order_id)
    stack.wait_for_status(order_id, "shipped")


async def test_a_shipment_that_an_operator_terminates_is_requested_again(
    stack: StackClient, temporal: Client
) -> None:
    stack.configure_sandbox("carrier", available=False)
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "preparing")
    shipment = temporal.get_workflow_handle(shipping_workflow_id(order_id))
    await _wait_until_started(shipment)

    await shipment.terminate()
    stack.configure_sandbox("carrier", available=True)

    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_parcels(order_id)) == 1


def _count_good_ends(stack: StackClient, component: str) -> int:
    return stack.supervisor_output.count(f"{component:<11} exited with code 0")


def _has_ended_well(stack: StackClient, component: str, times: int) -> bool:
    return _count_good_ends(stack, component) == times


def _is_charging(stack: StackClient, order_id: str) -> bool:
    live = stack.get_status(order_id)["live"] or {}
    return any(one["name"] == "payment_charged" for one in live.get("pending_activities", []))


async def _wait_until_started(workflow: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await workflow.describe()
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return
