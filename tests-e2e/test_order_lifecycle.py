"""Whole orders, through the API."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from stack_client import OTHER_ADDRESS, StackClient, eventually
from temporalio.client import Client

from fuze_contracts.workflow_ids import order_workflow_id

_README = Path(__file__).parent.parent / "README.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_three_requests_of_the_readme_work_as_written(stack: StackClient) -> None:
    text = _README.read_text().replace("\\\n", " ")
    commands = re.findall(r"^curl .*$", text, re.MULTILINE)[:3]
    assert ["/start" in commands[0], "/approve" in commands[1], "/status" in commands[2]] == [
        True
    ] * 3
    for command in commands[:2]:
        assert '"order_id":"123e4567-e89b-12d3-a456-426614174000"' in _run_curl(stack, command)

    eventually(
        lambda: '"status":"shipped"' in _run_curl(stack, commands[2]), "the order is shipped"
    )


def _run_curl(stack: StackClient, command: str) -> str:
    local = command.replace("http://127.0.0.1:8000", stack.connection_info["gateway"]["url"])
    done = subprocess.run(
        [*shlex.split(local), "--silent", "--show-error", "--fail-with-body"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_approved_order_is_charged_once_and_dispatched_once(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.approve(order_id)

    shipped = stack.wait_for_status(order_id, "shipped")

    [charge] = stack.get_charges(order_id)
    [parcel] = stack.get_parcels(order_id)
    assert (charge["amount_minor"], charge["currency"]) == (5997, "USD")
    assert charge["reference"] == f"{order_id}:1"
    assert parcel["contents"] == [{"sku": "TEAPOT-1", "quantity": 3}]
    assert shipped["tracking_number"] == parcel["tracking_number"]
    assert shipped["payment_status"] == "charged"
    assert stack.get_event_types(order_id) == [
        "order_received",
        "order_validated",
        "order_approved",
        "payment_charged",
        "shipping_started",
        "order_shipped",
    ]


async def test_a_workflow_has_a_summary_for_operators(stack: StackClient, temporal: Client) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")

    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()

    assert await description.static_summary() == "3 items, 59.97 USD"
    stack.post(f"/orders/{order_id}/signals/cancel")


def test_the_temporal_cli_lists_and_shows_orders(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    workflow_id = order_workflow_id(order_id)

    eventually(
        lambda: (
            workflow_id in _run_temporal(stack, "list", "--query", "WorkflowType='OrderWorkflow'")
        ),
        "the order is listed",
    )

    shown = _run_temporal(stack, "show", "--workflow-id", workflow_id)
    assert "WorkflowExecutionStarted" in shown
    assert "TimerStarted" in shown
    stack.post(f"/orders/{order_id}/signals/cancel")


def _run_temporal(stack: StackClient, *arguments: str) -> str:
    done = subprocess.run(
        [
            Path(stack.fuze[0]).with_name("temporal"),
            *("workflow", *arguments, "--address", stack.connection_info["temporal"]["address"]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_order_that_breaks_a_rule_is_rejected_with_a_reason(stack: StackClient) -> None:
    order_id = stack.start_order(address={"country": "FR", "zip_code": "75001"})

    rejected = stack.wait_for_status(order_id, "rejected")

    assert "not shipped to FR" in rejected["reason"]
    assert stack.get_event_types(order_id) == ["order_received", "order_rejected"]


def test_a_cancelled_order_is_never_charged(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.post(f"/orders/{order_id}/signals/cancel", {"actor": "ada", "reason": "changed mind"})

    assert stack.wait_for_status(order_id, "cancelled")["reason"] == "changed mind"
    assert stack.get_charges(order_id) == []
    late = eventually(
        lambda: (
            answer
            if (answer := stack.post(f"/orders/{order_id}/signals/approve")).status_code == 409
            else None
        ),
        "an approval is rejected",
    )
    assert late.json()["type"] == "/problems/order-closed"


def test_an_order_whose_card_is_declined_waits_for_another_card(stack: StackClient) -> None:
    order_id = stack.start_approved_order(payment_method="pm_insufficient_funds")
    declined = stack.wait_for_status(order_id, "awaiting_payment_method")
    assert "insufficient_funds" in declined["reason"]
    assert stack.get_parcels(order_id) == []

    url = f"{stack.connection_info['gateway']['url']}/orders/{order_id}/payment-method"
    changed = stack.http.put(url, json={"payment_method": "pm_card_visa", "actor": "ada"})

    assert changed.status_code == 200
    assert stack.wait_for_status(order_id, "shipped")["reason"] is None
    assert [one["state"] for one in stack.get_payments(order_id)] == ["declined", "charged"]


def test_a_parcel_goes_to_the_changed_address(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.post(f"/orders/{order_id}/signals/change-address", OTHER_ADDRESS)
    eventually(
        lambda: "address_changed" in stack.get_event_types(order_id), "the address is changed"
    )
    stack.approve(order_id)

    stack.wait_for_status(order_id, "shipped")

    [parcel] = stack.get_parcels(order_id)
    assert parcel["address"]["postal_code"] == "94105"


def test_every_log_record_of_an_order_carries_its_ids(stack: StackClient) -> None:
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "shipped")

    records = [one for one in stack.read_log("order") if one.get("order_id") == order_id]

    assert {one["event"] for one in records} >= {"order_approved", "order_shipped"}
    for record in records:
        assert record["workflow_id"] == f"order/{order_id}"
        assert record["run_id"]
        assert record["service"] == "order"


def test_an_unknown_order_is_not_found(stack: StackClient) -> None:
    answer = stack.get(f"/orders/{uuid4()}/status")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_order_with_a_discount_is_charged_its_total_and_ships_what_is_to_ship(
    stack: StackClient,
) -> None:
    lines = [
        {"sku": "TEAPOT-1", "quantity": 2, "unit_price_minor": 1999, "discount_minor": 400},
        {"sku": "TEAPOT-1", "quantity": 1, "unit_price_minor": 0},
        {"sku": "MANUAL", "quantity": 1, "unit_price_minor": 500, "requires_shipping": False},
    ]
    adjustments = [
        {"kind": "discount", "label": "Spring sale", "amount_minor": 500},
        {"kind": "shipping", "label": "Standard shipping", "amount_minor": 499},
    ]
    order_id = stack.start_approved_order(lines=lines, adjustments=adjustments, total_minor=4097)

    stack.wait_for_status(order_id, "shipped")

    [charge] = stack.get_charges(order_id)
    [parcel] = stack.get_parcels(order_id)
    assert charge["amount_minor"] == 4097
    assert parcel["contents"] == [
        {"sku": "TEAPOT-1", "quantity": 2},
        {"sku": "TEAPOT-1", "quantity": 1},
    ]


def test_an_order_without_anything_to_ship_is_completed_without_a_parcel(
    stack: StackClient,
) -> None:
    line = {"sku": "EBOOK", "quantity": 1, "unit_price_minor": 999, "requires_shipping": False}
    order_id = stack.start_approved_order(lines=[line])

    completed = stack.wait_for_status(order_id, "completed")

    assert completed["payment_status"] == "charged"
    assert [charge["amount_minor"] for charge in stack.get_charges(order_id)] == [999]
    assert stack.get_parcels(order_id) == []
