"""Whole orders, through the front door."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from running_stack import Stack, eventually
from temporalio.client import Client

from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id

_README = Path(__file__).parent.parent / "README.md"
_MOST_EVENTS = 48


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_three_requests_of_the_readme_work_as_written(stack: Stack) -> None:
    text = _README.read_text().replace("\\\n", " ")
    commands = re.findall(r"^curl .*$", text, re.MULTILINE)[:3]
    assert ["/start" in commands[0], "/approve" in commands[1], "/status" in commands[2]] == [
        True
    ] * 3
    for command in commands[:2]:
        assert '"order_id":"123e4567-e89b-12d3-a456-426614174000"' in _curl(stack, command)

    eventually(lambda: '"status":"shipped"' in _curl(stack, commands[2]), "the order is shipped")


def _curl(stack: Stack, command: str) -> str:
    here = command.replace("http://127.0.0.1:8000", stack.facts["gateway"]["url"])
    done = subprocess.run(
        [*shlex.split(here), "--silent", "--show-error", "--fail-with-body"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_paid_order_is_charged_once_and_handed_over_once(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    stack.approve(order_id)

    shipped = stack.wait_for(order_id, "shipped")

    [charge] = stack.charges(order_id)
    [parcel] = stack.parcels(order_id)
    assert (charge["amount_minor"], charge["currency"]) == (5997, "USD")
    assert charge["reference"] == f"{order_id}:1"
    assert parcel["contents"] == [{"sku": "TEAPOT-1", "quantity": 3}]
    assert shipped["tracking_number"] == parcel["tracking_number"]
    assert shipped["payment_status"] == "charged"
    assert stack.timeline(order_id) == [
        "order_received",
        "order_validated",
        "order_approved",
        "payment_charged",
        "shipping_started",
        "order_shipped",
    ]


async def test_the_histories_of_a_shipped_order_stay_small(stack: Stack, temporal: Client) -> None:
    order_id = stack.place()
    # Looked at in PostgreSQL: a live query that meets a local step costs three events of its own.
    eventually(lambda: "order_validated" in stack.timeline(order_id), "the order is validated")
    stack.approve(order_id)
    order = temporal.get_workflow_handle(order_workflow_id(order_id))
    shipment = temporal.get_workflow_handle(shipping_workflow_id(order_id))
    await order.result()

    events = [len((await one.fetch_history()).events) for one in (order, shipment)]

    assert sum(events) <= _MOST_EVENTS


async def test_an_operator_reads_what_a_workflow_is_about(stack: Stack, temporal: Client) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")

    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()

    assert await description.static_summary() == "3 items, 59.97 USD"
    stack.post(f"/orders/{order_id}/signals/cancel")


def test_the_temporal_cli_lists_and_shows_orders(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    workflow_id = order_workflow_id(order_id)

    eventually(
        lambda: workflow_id in _temporal(stack, "list", "--query", "WorkflowType='OrderWorkflow'"),
        "the order is listed",
    )

    shown = _temporal(stack, "show", "--workflow-id", workflow_id)
    assert "WorkflowExecutionStarted" in shown
    assert "TimerStarted" in shown
    stack.post(f"/orders/{order_id}/signals/cancel")


def _temporal(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [
            Path(stack.fuze[0]).with_name("temporal"),
            *("workflow", *arguments, "--address", stack.facts["temporal"]["address"]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_order_that_breaks_a_rule_is_rejected_and_says_why(stack: Stack) -> None:
    order_id = stack.place(address={"zip_code": "NOWHERE"})

    rejected = stack.wait_for(order_id, "rejected")

    assert "zip code" in rejected["reason"]
    assert stack.timeline(order_id) == ["order_received", "order_rejected"]


def test_a_cancelled_order_is_never_charged(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    stack.post(f"/orders/{order_id}/signals/cancel", {"actor": "ada", "reason": "changed mind"})

    assert stack.wait_for(order_id, "cancelled")["reason"] == "changed mind"
    assert stack.charges(order_id) == []
    late = eventually(
        lambda: (
            answer
            if (answer := stack.post(f"/orders/{order_id}/signals/approve")).status_code == 409
            else None
        ),
        "an approval is refused",
    )
    assert late.json()["type"] == "/problems/order-closed"


def test_a_declined_card_waits_for_another_one(stack: Stack) -> None:
    order_id = stack.place(payment_method="pm_insufficient_funds")
    stack.approve(order_id)
    declined = stack.wait_for(order_id, "awaiting_payment_method")
    assert "insufficient_funds" in declined["reason"]
    assert stack.parcels(order_id) == []

    url = f"{stack.facts['gateway']['url']}/orders/{order_id}/payment-method"
    taken = stack.http.put(url, json={"payment_method": "pm_card_visa", "actor": "ada"})

    assert taken.status_code == 200
    assert stack.wait_for(order_id, "shipped")["reason"] is None
    told = stack.get(f"/orders/{order_id}/payments").json()
    assert [one["state"] for one in told["payments"]] == ["declined", "charged"]


def test_the_parcel_goes_to_the_new_address(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")
    stack.post(f"/orders/{order_id}/signals/change-address", {"address": {"zip_code": "94105"}})
    eventually(lambda: "address_changed" in stack.timeline(order_id), "the address is updated")
    stack.approve(order_id)

    stack.wait_for(order_id, "shipped")

    [parcel] = stack.parcels(order_id)
    assert parcel["address"]["zip_code"] == "94105"


def test_every_line_about_an_order_can_be_found_by_it(stack: Stack) -> None:
    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "shipped")

    lines = [line for line in stack.log("order") if line.get("order_id") == order_id]

    assert {line["event"] for line in lines} >= {"order_approved", "order_shipped"}
    for line in lines:
        assert line["workflow_id"] == f"order/{order_id}"
        assert line["run_id"]
        assert line["service"] == "order"
    assert len({line["trace_id"] for line in lines}) == 1


def test_an_order_nobody_placed_is_not_found(stack: Stack) -> None:
    answer = stack.get(f"/orders/{uuid4()}/status")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
