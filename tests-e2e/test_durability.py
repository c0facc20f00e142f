"""What an order survives. Each test hurts the stack with real signals, and mends it."""

import asyncio
import signal
import time
from typing import Any

import psutil
from running_stack import Stack, eventually
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id

_LONG_OUTAGE_SECONDS = 20
"""Beyond what local attempts outlive."""


def _kill(stack: Stack, component: str) -> None:
    pid = stack.facts[component]["pid"]
    stack.run("kill", component, "--signal", "KILL")
    eventually(lambda: not psutil.pid_exists(pid), f"{component} is gone")


def _waits_for_payment(stack: Stack, order_id: str) -> bool:
    live = stack.status(order_id)["live"] or {}
    return any(one["name"] == "payment_charged" for one in live.get("pending_activities", []))


def test_an_order_worker_killed_between_approval_and_charge_ships_the_order_once(
    stack: Stack,
) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    stack.set_conditions("psp", available=False)
    stack.approve(order_id)
    eventually(lambda: _waits_for_payment(stack, order_id), "the order waits to be charged")

    _kill(stack, "order")
    stack.set_conditions("psp", available=True)
    stack.run("restart", "order")

    stack.wait_for(order_id, "shipped")
    assert len(stack.charges(order_id)) == 1
    assert len(stack.parcels(order_id)) == 1
    assert stack.timeline(order_id).count("payment_charged") == 1


def test_an_approval_given_while_no_order_worker_runs_is_not_lost(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    _kill(stack, "order")

    stack.approve(order_id)
    without_worker = stack.status(order_id)
    stack.run("restart", "order")

    assert without_worker["status"] == "awaiting_approval"
    assert without_worker["missing"]["live"] == "no worker answered"
    stack.wait_for(order_id, "shipped")
    assert len(stack.charges(order_id)) == 1


async def test_a_drained_worker_finishes_the_charge_that_it_began(
    stack: Stack, temporal: Client
) -> None:
    stack.set_conditions("psp", delay_seconds=2)
    order_id = stack.place()
    stack.approve(order_id)
    eventually(lambda: _waits_for_payment(stack, order_id), "the charge is under way")
    pid = stack.facts["payment"]["pid"]

    stack.run("kill", "payment", "--signal", "TERM")

    eventually(lambda: not psutil.pid_exists(pid), "the worker has drained")
    stack.wait_for(order_id, "shipped")
    stack.set_conditions("psp", delay_seconds=0)
    stack.run("restart", "payment")
    history = await temporal.get_workflow_handle(order_workflow_id(order_id)).fetch_history()
    started = [event.activity_task_started_event_attributes for event in history.events]
    assert {one.attempt for one in started if one.attempt} == {1}
    eventually(lambda: "payment     ended with code 0" in stack.said(), "it ended with code 0")


def test_every_service_ends_with_code_0_on_sigterm(stack: Stack) -> None:
    for component in ("order", "payment", "shipping", "gateway"):
        before = stack.said().count(f"{component:<11} ended with code 0")
        stack.run("kill", component, "--signal", "TERM")
        eventually(
            lambda name=component, count=before: (
                stack.said().count(f"{name:<11} ended with code 0") == count + 1
            ),
            f"{component} ends with code 0",
        )
        stack.run("restart", component)

    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "shipped")


def test_a_database_outage_delays_orders_and_loses_none(stack: Stack) -> None:
    """While it lasts, the gateway answers from what Temporal knows."""
    waiting = stack.place()
    stack.wait_for(waiting, "awaiting_approval")
    _kill(stack, "postgres")
    away_since = time.monotonic()

    stack.approve(waiting)
    placed_meanwhile = stack.place()
    live_only = eventually(
        lambda: (
            found
            if (found := stack.status(waiting))["live"]
            and found["live"]["waiting_for"] == "database"
            else None
        ),
        "the order waits for the database",
    )
    assert live_only["missing"]["durable"]
    assert "SELECT" not in str(live_only)
    while time.monotonic() - away_since < _LONG_OUTAGE_SECONDS:
        live = stack.status(waiting)["live"]
        assert live["waiting_for"] == "database"
        time.sleep(0.5)
    stack.run("restart", "postgres")
    stack.approve(placed_meanwhile)

    for order_id in (waiting, placed_meanwhile):
        stack.wait_for(order_id, "shipped")
        assert len(stack.charges(order_id)) == 1


def test_a_temporal_outage_leaves_the_durable_status(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    _kill(stack, "temporal")

    durable_only = stack.status(order_id)
    refused = stack.post(f"/orders/{order_id}/signals/approve")
    stack.run("restart", "temporal")

    assert durable_only["status"] == "awaiting_approval"
    assert durable_only["live"] is None
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    eventually(
        lambda: stack.post(f"/orders/{order_id}/signals/approve").status_code == 202,
        "the approval is taken",
    )
    stack.wait_for(order_id, "shipped")


def test_a_carrier_that_is_down_delays_the_parcel(stack: Stack) -> None:
    stack.set_conditions("carrier", available=False)
    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "preparing")
    pending = eventually(
        lambda: [
            one
            for one in (stack.status(order_id)["live"] or {}).get("pending_activities", [])
            if one["name"] == "shipment_dispatched" and one["last_failure"]
        ],
        "the status says what keeps failing",
    )
    assert pending[0]["attempt"] >= 1

    stack.set_conditions("carrier", available=True)

    stack.wait_for(order_id, "shipped")
    assert len(stack.parcels(order_id)) == 1


def test_the_gateway_restarts_without_anyone_losing_an_order(stack: Stack) -> None:
    order_id = stack.place()
    stack.run("kill", "gateway", "--signal", signal.SIGKILL.name.removeprefix("SIG"))
    stack.run("restart", "gateway")

    stack.wait_for(order_id, "awaiting_approval")
    stack.approve(order_id)
    stack.wait_for(order_id, "shipped")


async def test_a_shipment_that_an_operator_ends_is_asked_for_again(
    stack: Stack, temporal: Client
) -> None:
    stack.set_conditions("carrier", available=False)
    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "preparing")
    shipment = temporal.get_workflow_handle(shipping_workflow_id(order_id))
    await _runs(shipment)

    await shipment.terminate()
    stack.set_conditions("carrier", available=True)

    stack.wait_for(order_id, "shipped")
    assert len(stack.parcels(order_id)) == 1


async def _runs(workflow: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await workflow.describe()
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return
