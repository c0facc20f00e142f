"""Outgoing webhooks of a whole stack: what arrives, in which order, through which failures.

`make test` places six orders, `make proof` a thousand, for three endpoints.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest
from stack_client import StackClient, eventually

from fuze_testing.webhook_receiver import (
    ReceivedWebhook,
    WebhookReceiver,
    build_response,
    serve_webhook_receiver,
)

_ORDERS = int(os.environ.get("FUZE_WEBHOOK_ORDERS", "6"))
_KILLS = 1 + _ORDERS // 100
_CLIENTS = Path(__file__).with_name("clients")
_CPU_ORDERS, _CPU_EVENTS, _CPU_EVENTS_PER_SECOND = 100, 1500, 50
_MAX_CPU_SECONDS_PER_EVENT = 0.005


def create_endpoint(stack: StackClient, receiver: WebhookReceiver) -> dict[str, Any]:
    response = stack.post("/webhook-endpoints", {"url": receiver.get_url()})
    assert response.status_code == 201, response.text
    endpoint: dict[str, Any] = response.json()
    return endpoint


def delete_endpoints(stack: StackClient) -> None:
    for endpoint in stack.get("/webhook-endpoints").json()["webhook_endpoints"]:
        stack.delete(f"/webhook-endpoints/{endpoint['endpoint_id']}")


async def fail_half_of_the_time(request: ReceivedWebhook) -> bytes:
    """Fail depending on the message and the second in which the attempt is made."""
    attempt = request.message_id + request.headers["webhook-timestamp"]
    return build_response(204 if hashlib.sha256(attempt.encode()).digest()[0] % 2 else 500)


@pytest.mark.timeout(300 + 3 * _ORDERS)
async def test_every_event_arrives_in_order_through_kill_9_of_the_worker(
    stack: StackClient,
) -> None:
    async with (
        serve_webhook_receiver() as healthy,
        serve_webhook_receiver() as other,
        serve_webhook_receiver(fail_half_of_the_time) as failing,
    ):
        receivers = (healthy, other, failing)
        secrets = [create_endpoint(stack, receiver)["secret"] for receiver in receivers]
        placing = asyncio.create_task(asyncio.to_thread(_place_orders, stack, _ORDERS))
        for number in range(_KILLS):
            few = 3 + number * _ORDERS * 5 // _KILLS
            await _wait(
                lambda few=few: len(failing.accepted) > few,
                "some events have arrived",
                seconds=60 + _ORDERS // 4,
            )
            await asyncio.to_thread(stack.kill, "webhooks")
            await asyncio.to_thread(stack.run, "restart", "webhooks")
        expected = await placing

        message_ids = {
            f"evt_{UUID(order_id).hex}_{seq}"
            for order_id, last in expected.items()
            for seq in range(1, last + 1)
        }
        for receiver in receivers:
            await _wait(
                lambda receiver=receiver: _has_all(receiver, message_ids),
                "every event has arrived",
                seconds=60 + _ORDERS,
            )

        for receiver, secret in zip(receivers, secrets, strict=True):
            arrivals = receiver.get_first_arrivals()
            assert {order_id: arrivals[order_id] for order_id in expected} == {
                order_id: list(range(1, last + 1)) for order_id, last in expected.items()
            }
            for request in receiver.requests[-100:]:  # a signature is valid for five minutes
                request.verify(secret)
        assert len(failing.requests) > len(failing.accepted)
        delete_endpoints(stack)


def _place_orders(stack: StackClient, count: int) -> dict[str, int]:
    """Place orders; return the number of the last event of each, once they are shipped."""
    order_ids = [stack.start_approved_order() for _ in range(count)]
    for order_id in order_ids:
        eventually(
            lambda order_id=order_id: stack.get_order(order_id)["status"] == "shipped",
            f"{order_id} is shipped",
        )
    return {order_id: len(stack.get_event_types(order_id)) for order_id in order_ids}


def _has_all(receiver: WebhookReceiver, message_ids: set[str]) -> bool:
    return message_ids <= {request.message_id for request in receiver.accepted}


async def _wait(condition: Any, description: str, seconds: float = 60) -> None:  # noqa: ANN401 - a callable
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {description}") from None


async def test_a_test_message_verifies_by_the_libraries_of_two_languages(
    stack: StackClient,
) -> None:
    async with serve_webhook_receiver() as receiver:
        endpoint = create_endpoint(stack, receiver)
        path = f"/webhook-endpoints/{endpoint['endpoint_id']}"
        sent = stack.post(f"{path}/test").json()
        await _wait(lambda: receiver.accepted, "the message has arrived")
        delete_endpoints(stack)

    [request] = receiver.accepted
    assert request.message_id == sent["message_id"]
    request.verify(endpoint["secret"])
    _verify_with_node(request, endpoint["secret"])


def _verify_with_node(request: ReceivedWebhook, secret: str) -> None:
    """Verify a message, and its refusal after a change, with the npm package standardwebhooks."""
    if shutil.which("node") is None:
        pytest.skip("not verified with the npm package: Node.js is not installed")
    if not (_CLIENTS / "node_modules/standardwebhooks").exists():
        pytest.skip("not verified with the npm package: run make tests-e2e/clients/node_modules")
    for body, is_valid in ((request.body.decode(), True), (f"{request.body.decode()} ", False)):
        done = subprocess.run(
            ["node", "verify_webhook.js"],  # noqa: S607 - from the PATH
            cwd=_CLIENTS,
            input=json.dumps({"secret": secret, "headers": request.headers, "body": body}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is is_valid, done.stdout + done.stderr


async def test_an_endpoint_that_hangs_delays_no_other_endpoint(stack: StackClient) -> None:
    release = asyncio.Event()

    async def hang(_: ReceivedWebhook) -> bytes:
        await release.wait()
        return build_response(204)

    async with serve_webhook_receiver(hang) as hanging, serve_webhook_receiver() as healthy:
        for receiver in (hanging, healthy):
            create_endpoint(stack, receiver)
        order_id = stack.start_order()

        await _wait(lambda: len(healthy.get_first_arrivals()[order_id]) == 2, "it has arrived")

        assert hanging.accepted == []
        release.set()
        delete_endpoints(stack)


@pytest.mark.proof
async def test_temporal_spends_at_most_five_milliseconds_on_an_event(stack: StackClient) -> None:
    temporal = psutil.Process(stack.connection_info["temporal"]["pid"])
    seconds = _CPU_EVENTS / _CPU_EVENTS_PER_SECOND
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    async with serve_webhook_receiver() as receiver:
        started = _read_cpu_seconds(temporal)
        await asyncio.sleep(seconds)
        idle_per_second = (_read_cpu_seconds(temporal) - started) / seconds

        create_endpoint(stack, receiver)
        order_ids = [await _insert_order(connection) for _ in range(_CPU_ORDERS)]
        started, started_at = _read_cpu_seconds(temporal), time.monotonic()
        for number in range(_CPU_EVENTS):
            seq, order = divmod(number, _CPU_ORDERS)
            await _insert_event(connection, order_ids[order], seq + 1)
            await asyncio.sleep(1 / _CPU_EVENTS_PER_SECOND)
        await _wait(lambda: len(receiver.accepted) == _CPU_EVENTS, "all have arrived", 120)
        idle = idle_per_second * (time.monotonic() - started_at)
        spent = (_read_cpu_seconds(temporal) - started - idle) / _CPU_EVENTS
        delete_endpoints(stack)

    await connection.close()
    print(f"{spent * 1000:.2f} ms of Temporal's CPU per event")
    assert spent < _MAX_CPU_SECONDS_PER_EVENT


def _read_cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _insert_order(connection: asyncpg.Connection) -> str:
    order_id = str(uuid4())
    await connection.execute(
        "INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, currency,"
        " total_minor, payment_token, last_seq, approval_deadline, created_at, updated_at)"
        " VALUES ($1, 'run', 'none', 'rejected', 'none', 'USD', 100, 'token', 1, now(), now(),"
        " now())",
        order_id,
    )
    return order_id


async def _insert_event(connection: asyncpg.Connection, order_id: str, seq: int) -> None:
    await connection.execute(
        "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
        " occurred_at) VALUES ($1, $2, 'order_received', 'rejected', 'none', 'a test', now())",
        *(order_id, seq),
    )
