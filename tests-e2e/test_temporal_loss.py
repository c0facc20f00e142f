"""Temporal loses its state and PostgreSQL keeps its own: each order goes on from its row."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stack_client import StackClient, eventually

from fuze_devstack.postgres import EmbeddedPostgres

_SETTINGS = {
    "FUZE_DELIVERY_TRACKING_PERIOD": "1d",
    "FUZE_ORDER_RECONCILE_INTERVAL": "5",
    "FUZE_ORDER_RECONCILE_IDLE": "2",
}
_PATIENT_SECONDS = 300


@pytest.fixture
def stack(tmp_path: Path, fuze: list[str]) -> Iterator[StackClient]:
    stack = StackClient(tmp_path / "stack", fuze, _SETTINGS, is_measured=False)
    stack.start()
    yield stack
    stack.stop()
    stack.http.close()


def lose_state_of_temporal(stack: StackClient) -> None:
    """Stop Temporal as a crash does, delete its database, and start it again."""
    stack.run("kill", "temporal")
    for file in stack.folder.glob("temporal.db*"):
        file.unlink()
    stack.run("restart", "temporal")


def init(stack: StackClient, service: str) -> str:
    """Run `python -m fuze_<service> init`, as the runbook says."""
    port = int(stack.connection_info["postgres"]["dsn"].rpartition(":")[2].partition("/")[0])
    database = EmbeddedPostgres(stack.folder, port)
    done = subprocess.run(
        [sys.executable, "-m", f"fuze_{service}", "init"],
        env={
            **os.environ,
            **stack.settings,
            "FUZE_DATABASE_URL": database.url(service),
            "FUZE_PSP_URL": f"{stack.connection_info['sandbox']['url']}/psp",
            "TEMPORAL_ADDRESS": stack.connection_info["temporal"]["address"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until_flagged(stack: StackClient, order_id: str) -> None:
    eventually(lambda: stack.get_order(order_id)["workflow_missing_at"], f"{order_id} is flagged")


def count_records(stack: StackClient, order_ids: list[str]) -> dict[str, tuple[int, int, int]]:
    """Return how many captured charges, refunds and parcels each order has outside of Fuze."""
    return {
        order_id: (
            sum(one["status"] == "charged" for one in stack.get_charges(order_id)),
            len(stack.get_refunds(order_id)),
            len(stack.get_parcels(order_id)),
        )
        for order_id in order_ids
    }


def request_approved_return(stack: StackClient, order_id: str) -> str:
    gateway = stack.connection_info["gateway"]["url"]
    requested = stack.http.post(
        f"{gateway}/orders/{order_id}/returns",
        json={"lines": [{"line_id": "1", "quantity": 2}]},
        headers={"Idempotency-Key": "a-return"},
    )
    assert requested.status_code == 201, requested.text
    url = str(requested.json()["return_url"])
    assert stack.post(f"{url}/approve", {"actor": "grace"}).status_code == 200
    return url


def deliver(stack: StackClient, order_id: str) -> None:
    [parcel] = stack.get_parcels(order_id)
    for status in ("in_transit", "delivered"):
        stack.post_sandbox(f"/carrier/parcels/{parcel['id']}/report", {"status": status})
    stack.wait_for_status(order_id, "delivered")


def receive_return(stack: StackClient, url: str) -> None:
    received = stack.post(f"{url}/receive", {"actor": "grace"})
    assert received.status_code == 200, received.text

    def find_refunded() -> dict[str, Any] | None:
        found: dict[str, Any] = stack.get(url).json()
        return found if found["status"] == "refunded" else None

    eventually(find_refunded, "the return is refunded")


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_every_order_goes_on_when_temporal_has_lost_its_state(
    stack: StackClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack_client._TIMEOUT_SECONDS", _PATIENT_SECONDS)
    tracked, returning = (stack.start_approved_order() for _ in range(2))
    for order_id in (tracked, returning):
        stack.wait_for_status(order_id, "shipped")
    return_url = request_approved_return(stack, returning)
    declined = stack.start_approved_order(payment_method="pm_declined")
    stack.wait_for_status(declined, "awaiting_payment_method")
    stack.configure_sandbox("carrier", available=False)
    preparing = stack.start_approved_order()
    eventually(
        lambda: stack.has_failing_activity(preparing, "shipment_dispatched"),
        "the carrier is unavailable",
    )
    waiting = stack.start_order()
    stack.wait_for_status(waiting, "awaiting_approval")
    order_ids = [tracked, returning, declined, preparing, waiting]

    lose_state_of_temporal(stack)
    created = init(stack, "order") + init(stack, "payment")
    for order_id in order_ids:
        wait_until_flagged(stack, order_id)
    recovered = stack.run("recover", "--actor", "grace")
    stack.configure_sandbox("carrier", available=True)
    stack.approve(waiting)
    method = stack.put(f"/orders/{declined}/payment-method", {"payment_method": "pm_card_visa"})
    for order_id in (waiting, declined, preparing):
        stack.wait_for_status(order_id, "shipped")
    deliver(stack, tracked)
    receive_return(stack, return_url)

    assert method.status_code == 200, method.text
    assert "ok       schedule     reconcile-" in created
    assert recovered.count("recovered") >= len(order_ids)
    assert count_records(stack, order_ids) == {
        tracked: (1, 0, 1),
        returning: (1, 1, 1),
        declined: (1, 0, 1),
        preparing: (1, 0, 1),
        waiting: (1, 0, 1),
    }
    for order_id in order_ids:
        events = stack.get(f"/orders/{order_id}/events").json()["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        order = stack.get_order(order_id)
        assert (order["workflow_missing_at"], order["needs_attention"]) == (None, False)
    assert stack.get("/discrepancies").json()["discrepancies"] == []
