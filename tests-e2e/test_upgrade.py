"""An installation of the last release is upgraded, service by service, with orders in flight.

`FUZE_UPGRADE_FROM` names another commit to upgrade from.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from shipped_orders import count_records, deliver, receive_return, request_approved_return
from stack_client import CANCELLATION, OTHER_ADDRESS, StackClient, eventually

from fuze_devstack import schema_commands
from fuze_devstack.processes import die_with_parent
from fuze_devstack.services import SERVICES, WORKERS
from fuze_testing.webhook_receiver import (
    ReceivedWebhook,
    WebhookReceiver,
    accept,
    build_response,
    serve_webhook_receiver,
)

_ROOT = Path(__file__).parents[1]
_SETTINGS = {
    "FUZE_DELIVERY_TRACKING_PERIOD": "1d",
    "FUZE_PSP_REVIEW_POLL_INTERVAL": "2",
    "FUZE_SHIPS_TO": "US",
    "FUZE_WEBHOOK_RETRY_DELAYS": json.dumps([5.0] * 100),
}
_PATIENT_SECONDS = 300
_NEW = "new"
"""The revision that the processes of today report."""

_RECEIVERS = [one.name for one in WORKERS if one.name != "order"]
_ORDER_OF_UPGRADE = [*_RECEIVERS, "order", "gateway", "console"]
"""Receivers before senders, as docs/how-to/release.md says."""


def _find_old() -> str | None:
    """Return the commit to upgrade from: by default the last release that has a tag."""
    if given := os.environ.get("FUZE_UPGRADE_FROM"):
        return given
    last = ("git", "describe", "--tags", "--abbrev=0", "--match", "v*")
    done = subprocess.run(last, cwd=_ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _run(*command: str | Path, cwd: Path = _ROOT) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _install(commit: str, folder: Path) -> list[str]:
    """Install the wheels of a commit into an environment of their own; return its `fuze`."""
    source, python = folder / "source", folder / "environment/bin/python"
    source.mkdir()
    _run("git", "archive", commit, "--output", folder / "source.tar")
    _run("tar", "--extract", "--file", folder / "source.tar", "--directory", source)
    _run(sys.executable, "-m", "venv", folder / "environment")
    _run("deploy/install.sh", folder / "environment", "requirements.lock", cwd=source)
    build = (python, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--python", python)
    for project in source.glob("*/*/pyproject.toml"):
        if project.parent.name != "testing":
            _run(*build, "--out-dir", folder / "wheels", project.parent)
    wheels = (folder / "wheels").glob("*.whl")
    _run(python, "-m", "uv", "pip", "install", "--python", python, "--no-deps", *wheels)
    return [str(python), "-m", "fuze_devstack"]


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackClient]:
    """A stack of the old version, installed from its wheels."""
    old = _find_old()
    if old is None:
        pytest.skip("no release has a tag yet; FUZE_UPGRADE_FROM=HEAD upgrades from a commit")
    folder = tmp_path_factory.mktemp("old")
    stack = StackClient(folder / "stack", _install(old, folder), _SETTINGS, is_measured=False)
    stack.start()
    yield stack
    stack.stop()
    stack.http.close()


async def _refuse(_: ReceivedWebhook) -> bytes:
    return build_response(503)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """An endpoint of webhooks that accepts none yet."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve_webhook_receiver(_refuse)) as receiver,
    ):
        yield receiver


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that the test starts; they end before the stack does."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(60)


def _upgrade(stack: StackClient, service: str) -> subprocess.Popen[bytes]:
    """Stop a service, migrate its schema, and start that of today with the same settings."""
    facts = stack.connection_info[service]
    environment = psutil.Process(facts["pid"]).environ()
    stack.terminate(service)
    if SERVICES[service].schema:
        code, output = asyncio.run(schema_commands.run(stack.folder, service, "migrate"))
        assert code == 0, output
    with Path(facts["log"]).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"fuze_{service}"],
            env=environment | {"FUZE_REVISION": _NEW},
            stdout=log,
            stderr=log,
            preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - it takes no lock
        )
    base = facts.get("url") or facts["health"].removesuffix("/readyz")

    def is_ready() -> bool:
        assert process.poll() is None, Path(facts["log"]).read_text()[-2000:]
        try:
            return stack.http.get(f"{base}/readyz").is_success
        except httpx.TransportError:
            return False

    eventually(is_ready, f"{service} of today is ready")
    return process


def _wait_until_fails(stack: StackClient, order_id: str, activity: str) -> None:
    eventually(lambda: stack.has_failing_activity(order_id, activity), f"{activity} is retried")


def _request_refund(stack: StackClient, order_id: str) -> None:
    url = f"{stack.connection_info['gateway']['url']}/orders/{order_id}/refunds"
    key = {"Idempotency-Key": "a-refund"}
    requested = stack.http.post(url, json={"amount_minor": 500}, headers=key)
    assert requested.status_code == 202, requested.text


def _wait_for_payment_status(stack: StackClient, order_id: str, status: str) -> None:
    eventually(lambda: stack.get_order(order_id)["payment_status"] == status, f"it is {status}")


def _wait_for_every_event(stack: StackClient, receiver: WebhookReceiver, order_id: str) -> None:
    events = stack.get(f"/orders/{order_id}/events").json()["events"]
    numbers = list(range(1, len(events) + 1))
    assert [event["seq"] for event in events] == numbers
    eventually(
        lambda: receiver.get_first_arrivals()[order_id] == numbers,
        f"each event of {order_id} has arrived, in order",
    )


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_orders_in_flight_end_on_the_version_of_today(
    stack: StackClient,
    started: list[subprocess.Popen[bytes]],
    receiver: WebhookReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stack_client._TIMEOUT_SECONDS", _PATIENT_SECONDS)
    assert stack.post("/webhook-endpoints", {"url": receiver.get_url()}).status_code == 201
    # Orders in every state in which one waits, on the old version.
    waiting = stack.start_order()
    declined = stack.start_approved_order(payment_method="pm_declined")
    reviewed = stack.start_approved_order(payment_method="pm_under_review")
    misaddressed = stack.start_approved_order(address={"zip_code": "10001", "line1": "rejected"})
    tracked, returning, refunding = (stack.start_approved_order() for _ in range(3))
    for order_id in (tracked, returning, refunding):
        stack.wait_for_status(order_id, "shipped")
    return_url = request_approved_return(stack, returning)
    stack.wait_for_status(waiting, "awaiting_approval")
    stack.wait_for_status(declined, "awaiting_payment_method")
    stack.wait_for_status(misaddressed, "awaiting_address")
    eventually(
        lambda: [one["state"] for one in stack.get_payments(reviewed)] == ["under_review"],
        "the charge is under review",
    )
    stack.configure_sandbox("carrier", available=False)
    preparing, cancelled = (stack.start_approved_order() for _ in range(2))
    for order_id in (preparing, cancelled):
        _wait_until_fails(stack, order_id, "shipment_dispatched")
    stack.configure_sandbox("psp", available=False)
    charging = stack.start_approved_order()
    _wait_until_fails(stack, charging, "payment_charged")
    assert stack.post(f"/orders/{cancelled}/cancel", CANCELLATION).status_code == 200
    _request_refund(stack, refunding)
    eventually(lambda: receiver.requests, "an event waits for its endpoint")

    placed_meanwhile = []
    for service in _ORDER_OF_UPGRADE:
        if service in stack.connection_info:  # the old version may have had fewer
            started.append(_upgrade(stack, service))
            placed_meanwhile.append(stack.start_approved_order())

    assert stack.get("/livez").json()["revision"] == _NEW
    receiver.respond = accept
    for part in ("psp", "carrier"):
        stack.configure_sandbox(part)
    stack.approve(waiting)
    method = stack.put(f"/orders/{declined}/payment-method", {"payment_method": "pm_card_visa"})
    assert method.status_code == 200, method.text
    address = stack.put(f"/orders/{misaddressed}/address", OTHER_ADDRESS)
    assert address.status_code == 200, address.text
    [charge] = stack.get_charges(reviewed)
    stack.post_sandbox(f"/psp/charges/{charge['id']}/decide", {"status": "charged"})

    shipped = [waiting, declined, reviewed, misaddressed, preparing, charging, *placed_meanwhile]
    for order_id in shipped:
        stack.wait_for_status(order_id, "shipped")
    receive_return(stack, return_url)
    for order_id in (*shipped, tracked, returning, refunding):
        deliver(stack, order_id)
    stack.wait_for_status(cancelled, "cancelled")
    _wait_for_payment_status(stack, cancelled, "refunded")
    _wait_for_payment_status(stack, refunding, "partially_refunded")

    records = count_records(stack, [*shipped, tracked, returning, refunding, cancelled])
    once = dict.fromkeys([*shipped, tracked], (1, 0, 1))
    assert records == once | {
        returning: (1, 1, 1),
        refunding: (1, 1, 1),
        cancelled: (1, 1, 0),
    }
    for order_id in records:
        _wait_for_every_event(stack, receiver, order_id)
        assert not stack.get_order(order_id)["needs_attention"]
    assert stack.get("/discrepancies").json()["discrepancies"] == []
