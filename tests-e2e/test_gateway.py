"""The gateway under load, while its upstreams fail and recover."""

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import psutil
import pytest
from stack_client import TEAPOTS, StackClient, eventually

_RESPONSE_TIMEOUT_SECONDS = 4
"""Two for the upstream that is unavailable, and what two busy cores add."""

_RECOVERY_TIMEOUT_SECONDS = 5
_OUTAGE_TIMEOUT_SECONDS = 30
_ANSWERS_DURING_OUTAGE = 10
"""How often each path is answered while an upstream is unavailable, at least."""

_READERS = int(os.environ.get("FUZE_EVENT_STREAMS", "200"))
_MAX_BYTES = 300 * 1024**2


@dataclass
class Load:
    """Clients that send one request after another, and a count of the responses."""

    stack: StackClient
    order_id: str
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    without_retry_after: int = 0
    is_over: bool = False

    async def call(self, http: httpx.AsyncClient, method: str, path: str) -> None:
        body = TEAPOTS if method == "POST" else None
        while not self.is_over:
            url = path.format(id=self.order_id, new=uuid4())
            answer = await http.request(method, url, json=body)
            self.answers[path, answer.status_code] += 1
            if answer.status_code >= 500:
                self.without_retry_after += "retry-after" not in answer.headers
                assert answer.headers["content-type"] == "application/problem+json"
                assert "SELECT" not in answer.text
            await asyncio.sleep(0.1)


_CALLS = {
    "GET": ["/orders", "/orders/{id}", "/orders/{id}/status", "/orders/{id}/events"],
    "POST": ["/orders/{new}/start"],
}
_PATHS = {path for paths in _CALLS.values() for path in paths}


@asynccontextmanager
async def under_load(stack: StackClient) -> AsyncIterator[Load]:
    """Send requests all the time; one that is not answered in time fails the test."""
    load = Load(stack, stack.start_approved_order())
    await asyncio.to_thread(stack.wait_for_status, load.order_id, "shipped")
    url = stack.connection_info["gateway"]["url"]
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=_RESPONSE_TIMEOUT_SECONDS) as http,
        asyncio.TaskGroup() as group,
    ):
        for method, paths in _CALLS.items():
            for path in paths:
                for _ in range(3):
                    group.create_task(load.call(http, method, path))
        yield load
        load.is_over = True  # a request that is cancelled may leave a socket behind


async def _wait_until_healthy(load: Load) -> None:
    """Wait until each path is answered with success, for as long as that may take."""
    load.answers.clear()
    await _wait_for(
        lambda: {path for path, status in load.answers if status < 300} == _PATHS,
        load,
        _RECOVERY_TIMEOUT_SECONDS,
    )


async def _wait_for_outage(load: Load) -> Counter[tuple[str, int]]:
    """Wait until each path was answered often enough during the outage; return the answers."""
    load.answers.clear()
    per_path: Counter[str] = Counter()

    def was_answered_often() -> bool:
        per_path.clear()
        for (path, _), count in load.answers.items():
            per_path[path] += count
        is_noticed = any(status == 503 for _, status in load.answers)
        return is_noticed and min(per_path[path] for path in _PATHS) >= _ANSWERS_DURING_OUTAGE

    await _wait_for(was_answered_often, load, _OUTAGE_TIMEOUT_SECONDS)
    return Counter(load.answers)


async def _wait_for(condition: Callable[[], bool], load: Load, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, load.answers
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("component", "still_answered"),
    [("postgres", 202), ("temporal", 200)],  # orders are still accepted; rows can still be read
)
async def test_an_unavailable_upstream_is_reported_at_once_and_only_as_503(
    stack: StackClient, component: str, still_answered: int
) -> None:
    async with under_load(stack) as load:
        await _wait_until_healthy(load)
        await asyncio.to_thread(stack.kill, component)
        during = await _wait_for_outage(load)
        await asyncio.to_thread(stack.run, "restart", component)
        await _wait_until_healthy(load)

    statuses = {status for _, status in during}
    assert {still_answered, 503} <= statuses <= {200, 202, 503}
    assert load.without_retry_after == 0


async def test_clients_that_disconnect_leave_no_connection_behind(stack: StackClient) -> None:
    gateway = psutil.Process(stack.connection_info["gateway"]["pid"])
    address = urlsplit(stack.connection_info["gateway"]["url"])
    request = f"GET /orders?limit=200 HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    before = gateway.num_fds()

    # Each is answered, although no client reads it: not more than a busy machine can do.
    await asyncio.gather(*(_disconnect(address.hostname, address.port, request) for _ in range(50)))

    eventually(lambda: gateway.num_fds() <= before + 10, "the connections are closed")
    async with asyncio.timeout(_OUTAGE_TIMEOUT_SECONDS):
        while set(states := await _connection_states(stack)) != {"idle"}:
            await asyncio.sleep(0.1)  # the last of the queries whose clients have gone
    assert len(states) <= 10
    assert stack.get("/orders").status_code == 200


async def _connection_states(stack: StackClient) -> list[str]:
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    rows = await connection.fetch(
        "SELECT state FROM pg_stat_activity WHERE application_name = 'fuze-gateway'"
    )
    await connection.close()
    return [row["state"] for row in rows]


async def _disconnect(host: str | None, port: int | None, request: bytes) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    await writer.drain()
    writer.transport.abort()


async def test_many_event_streams_fit_into_one_small_process(stack: StackClient) -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    orders = [stack.start_order() for _ in range(20)]
    for order_id in orders:
        stack.wait_for_status(order_id, "awaiting_approval")
    address = urlsplit(stack.connection_info["gateway"]["url"])
    readers = [
        await _open_stream(address.hostname, address.port, orders[number % len(orders)])
        for number in range(_READERS)
    ]

    used = psutil.Process(stack.connection_info["gateway"]["pid"]).memory_info().rss
    for order_id in orders:
        stack.approve(order_id)
    endings = await asyncio.gather(*(_read_to_end(*reader) for reader in readers))

    assert used < _MAX_BYTES
    assert len(endings) == _READERS
    assert all(b"event: order_shipped" in ending for ending in endings)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open_stream(host: str | None, port: int | None, order_id: str) -> Connection:
    reader, writer = await asyncio.open_connection(host, port)
    path = f"/orders/{order_id}/events/stream"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"order_validated")
    return reader, writer


async def _read_to_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    async with asyncio.timeout(60):
        rest = await reader.read()
    writer.close()
    return rest
