"""The gateway under load, while what is behind it comes and goes."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import psutil
import pytest
from running_stack import TEAPOTS, Stack, eventually

_ANSWERED_WITHIN_SECONDS = 4
"""Two for the source that is away, and what two busy cores add."""

_HEALTHY_WITHIN_SECONDS = 5
_READERS = 1000
_MOST_BYTES = 300 * 1024**2


@dataclass
class Load:
    """Callers that ask all the time, and what they were told."""

    stack: Stack
    order_id: str
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    without_advice: int = 0

    async def call(self, http: httpx.AsyncClient, method: str, path: str) -> None:
        body = TEAPOTS if method == "POST" else None
        while True:
            url = path.format(id=self.order_id, new=uuid4())
            answer = await http.request(method, url, json=body)
            self.answers[path, answer.status_code] += 1
            if answer.status_code >= 500:
                self.without_advice += "retry-after" not in answer.headers
                assert answer.headers["content-type"] == "application/problem+json"
                assert "SELECT" not in answer.text
            await asyncio.sleep(0.02)


_CALLS = {
    "GET": ["/orders", "/orders/{id}", "/orders/{id}/status", "/orders/{id}/events"],
    "POST": ["/orders/{new}/start"],
}
_PATHS = {path for paths in _CALLS.values() for path in paths}


@asynccontextmanager
async def under_load(stack: Stack) -> AsyncIterator[Load]:
    """Call all the time; a caller that waits too long for an answer fails the test."""
    load = Load(stack, stack.place())
    stack.approve(load.order_id)
    await asyncio.to_thread(stack.wait_for, load.order_id, "shipped")
    url = stack.facts["gateway"]["url"]
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=_ANSWERED_WITHIN_SECONDS) as http,
        asyncio.TaskGroup() as group,
    ):
        calling = [
            group.create_task(load.call(http, method, path))
            for method, paths in _CALLS.items()
            for path in paths
            for _ in range(3)
        ]
        yield load
        for caller in calling:
            caller.cancel()


async def _is_well(load: Load) -> None:
    """Wait until every kind of call is answered, for as long as that may take."""
    deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
    load.answers.clear()
    while {path for path, status in load.answers if status < 300} != _PATHS:
        assert time.monotonic() < deadline, load.answers
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("component", ["postgres", "temporal"])
async def test_while_a_source_is_away_callers_hear_so_at_once_and_nothing_else(
    stack: Stack, component: str
) -> None:
    async with under_load(stack) as load:
        await _is_well(load)
        await asyncio.to_thread(stack.run, "kill", component)
        await asyncio.sleep(6)
        during = Counter(load.answers)
        await asyncio.to_thread(stack.run, "restart", component)
        await _is_well(load)

    assert {status for _, status in during} == {200, 202, 503}
    assert load.without_advice == 0


async def test_callers_that_hang_up_leave_nothing_behind(stack: Stack) -> None:
    gateway = psutil.Process(stack.facts["gateway"]["pid"])
    address = urlsplit(stack.facts["gateway"]["url"])
    request = f"GET /orders?limit=200 HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    before = gateway.num_fds()

    for _ in range(20):
        await asyncio.gather(
            *(_hang_up(address.hostname, address.port, request) for _ in range(50))
        )

    eventually(lambda: gateway.num_fds() <= before + 10, "the connections are closed")
    connection = await asyncpg.connect(stack.facts["postgres"]["dsn"])
    activity = await connection.fetch(
        "SELECT state FROM pg_stat_activity WHERE application_name = 'fuze-gateway'"
    )
    await connection.close()
    assert len(activity) <= 10
    assert {row["state"] for row in activity} <= {"idle"}
    assert stack.get("/orders").status_code == 200


async def _hang_up(host: str | None, port: int | None, request: bytes) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    await writer.drain()
    writer.transport.abort()


async def test_a_thousand_readers_fit_into_one_small_process(stack: Stack) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    orders = [stack.place() for _ in range(20)]
    for order_id in orders:
        stack.wait_for(order_id, "awaiting_approval")
    address = urlsplit(stack.facts["gateway"]["url"])
    readers = [
        await _listen(address.hostname, address.port, orders[number % len(orders)])
        for number in range(_READERS)
    ]

    used = psutil.Process(stack.facts["gateway"]["pid"]).memory_info().rss
    for order_id in orders:
        stack.approve(order_id)
    endings = await asyncio.gather(*(_to_the_end(*reader) for reader in readers))

    assert used < _MOST_BYTES
    assert all(b"event: order_shipped" in ending for ending in endings)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _listen(host: str | None, port: int | None, order_id: str) -> Connection:
    reader, writer = await asyncio.open_connection(host, port)
    path = f"/orders/{order_id}/events/stream"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"order_validated")
    return reader, writer


async def _to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    async with asyncio.timeout(60):
        rest = await reader.read()
    writer.close()
    return rest
