"""Task queues that no worker polls are noticed; the order queue of these tests has a worker."""

import socket
from datetime import timedelta

import httpx
import pytest
from gateway_harness import MakeKey, Serve, bearer
from structlog.testing import capture_logs
from temporalio.client import Client

from fuze_gateway.settings import GatewaySettings
from fuze_gateway.task_queues.monitor import TaskQueueMonitor
from fuze_runtime import temporal as runtime

_READ_TIMEOUT = timedelta(seconds=2)


async def test_a_queue_that_no_worker_polls_for_too_long_needs_attention(serve: Serve) -> None:
    async with serve(queue_alert_after=timedelta(0)) as http:
        response = await http.get("/task-queues")

    queues = {one["name"]: one for one in response.json()["task_queues"]}
    assert response.status_code == 200
    assert {name for name, one in queues.items() if one["needs_attention"]} >= {
        "payment",
        "shipping",
    }
    assert queues["payment"]["last_polled_at"] is None
    assert queues["payment"]["unpolled_since"] is not None


async def test_a_queue_with_a_worker_needs_no_attention(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/task-queues")

    [order] = [one for one in response.json()["task_queues"] if one["name"] == "order"]
    assert (order["needs_attention"], order["unpolled_since"]) == (False, None)
    assert order["last_polled_at"] is not None


async def test_a_queue_is_logged_once_when_it_needs_attention(temporal: Client) -> None:
    monitor = TaskQueueMonitor(temporal, _READ_TIMEOUT, alert_after=timedelta(0))

    with capture_logs() as logs:
        await monitor.check()
        await monitor.check()

    lines = [one for one in logs if one["event"] == "task queue not polled"]
    assert [one["task_queue"] for one in lines].count("payment") == 1


async def test_the_time_since_the_last_poll_is_a_metric(
    temporal: Client, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = _free_address()
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    client = await runtime.connect(metrics_address=address, connect_timeout=timedelta(seconds=5))
    monitor = TaskQueueMonitor(client, settings.read_timeout, settings.queue_alert_after)

    await monitor.check()

    async with httpx.AsyncClient(trust_env=False) as http:
        metrics = (await http.get(f"http://{address}/metrics")).text
    assert "fuze_task_queue_unpolled_seconds{" in metrics
    assert 'task_queue="payment"' in metrics


async def test_task_queues_are_unavailable_without_temporal(
    without_temporal: httpx.AsyncClient,
) -> None:
    assert (await without_temporal.get("/task-queues")).status_code == 503


async def test_only_operators_list_task_queues(serve: Serve, make_key: MakeKey) -> None:
    key = await make_key("viewer")
    async with serve(authentication="required") as http:
        response = await http.get("/task-queues", headers=bearer(key))

    assert response.status_code == 403


def _free_address() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"
