"""Temporal loses its state and PostgreSQL keeps its own: each order goes on from its row."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shipped_orders import count_records, deliver, receive_return, request_approved_return
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
