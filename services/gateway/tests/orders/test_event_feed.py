"""The feed of all events: complete and in commit order, whatever transactions do meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from gateway_harness import MakeKey, Record, Serve, bearer
from pydantic import SecretStr

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.auth.principals import Role

_TRANSACTIONS = 50
_EVENTS_PER_TRANSACTION = 20


async def add_event(connection: asyncpg.Connection, order_id: UUID, seq: int) -> None:
    await connection.execute(
        "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
        " occurred_at) VALUES ($1, $2, 'order_validated', 'received', 'none', 'ada', now())",
        *(order_id, seq),
    )


@pytest.fixture
async def connection(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def end(gateway: httpx.AsyncClient) -> str:
    """The cursor after the events of the tests before."""
    return str((await read(gateway, None, start="latest"))["next"])


async def read(http: httpx.AsyncClient, after: str | None, **query: object) -> dict[str, Any]:
    cursor = {"after": after} if after else {}
    response = await http.get("/events", params={**cursor, **query})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def ids(page: dict[str, Any]) -> list[tuple[str, int]]:
    return [(event["order_id"], event["seq"]) for event in page["events"]]


async def test_a_reader_sees_each_event_of_interleaved_transactions_once_and_in_commit_order(
    gateway: httpx.AsyncClient, postgres: EmbeddedPostgres, record: Record, end: str
) -> None:
    chosen = random.Random(7)  # noqa: S311 - an order of writes, nothing secret
    order_ids = [uuid4() for _ in range(_TRANSACTIONS)]
    for order_id in order_ids:
        await record(order_id, last_seq=1)
    has_written = asyncio.Event()

    async def write(stack: AsyncExitStack) -> None:
        transactions = []
        for _ in order_ids:
            connection = await asyncpg.connect(postgres.dsn)
            stack.push_async_callback(connection.close)
            transaction = connection.transaction()
            await transaction.start()
            transactions.append((connection, transaction))
        writes = [number for number in range(_TRANSACTIONS) for _ in range(_EVENTS_PER_TRANSACTION)]
        chosen.shuffle(writes)
        left = [_EVENTS_PER_TRANSACTION] * _TRANSACTIONS
        for number in writes:  # a transaction commits with its last event, beside open ones
            connection, transaction = transactions[number]
            await add_event(connection, order_ids[number], 22 - left[number])
            left[number] -= 1
            if not left[number]:
                await transaction.commit()
        has_written.set()

    seen: list[tuple[str, int]] = []
    pages_meanwhile = 0
    async with AsyncExitStack() as stack:
        writing = asyncio.create_task(write(stack))
        cursor, is_last = end, False
        while not is_last:
            is_last = has_written.is_set()
            page = await read(gateway, cursor, limit=37)
            cursor = page["next"]
            seen += ids(page)
            pages_meanwhile += bool(page["events"]) and not is_last
            is_last = is_last and not page["has_more"]
        await writing

    ours = [one for one in seen if one[1] > 1 and UUID(one[0]) in order_ids]
    assert len(ours) == len(set(ours)) == _TRANSACTIONS * _EVENTS_PER_TRANSACTION
    assert pages_meanwhile > 0
    admin = await asyncpg.connect(postgres.dsn)
    stored = await admin.fetch(
        "SELECT order_id, seq FROM orders.events WHERE order_id = any($1) AND seq > 1"
        " ORDER BY transaction_id, position",
        order_ids,
    )
    await admin.close()
    assert ours == [(str(row["order_id"]), row["seq"]) for row in stored]


async def test_an_event_waits_for_an_older_transaction_that_is_still_open(
    gateway: httpx.AsyncClient,
    postgres: EmbeddedPostgres,
    connection: asyncpg.Connection,
    record: Record,
    end: str,
) -> None:
    early, late = uuid4(), uuid4()
    other = await asyncpg.connect(postgres.dsn)
    await record(early, last_seq=1)
    await record(late, last_seq=1)
    before = await read(gateway, end)
    async with connection.transaction():
        await add_event(connection, early, 2)
        await add_event(other, late, 2)
        meanwhile = await read(gateway, before["next"])
    await other.close()

    after = await read(gateway, meanwhile["next"])

    assert meanwhile["events"] == []
    assert ids(after) == [(str(early), 2), (str(late), 2)]


async def test_a_page_without_new_events_returns_the_cursor_to_continue_with(
    gateway: httpx.AsyncClient, record: Record, end: str, order_id: UUID
) -> None:
    empty = await read(gateway, end)
    await record(order_id)

    page = await read(gateway, empty["next"])

    assert (empty["events"], empty["has_more"]) == ([], False)
    assert ids(page) == [(str(order_id), 1), (str(order_id), 2)]


async def test_a_reader_that_starts_at_the_latest_event_gets_those_after_it(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, last_seq=1)
    started = await read(gateway, None, start="latest")
    later = uuid4()
    await record(later, last_seq=1)

    continued = await read(gateway, started["next"], start="latest")

    assert started["events"] == []
    assert ids(continued) == [(str(later), 1)]


async def test_a_reader_waits_for_the_next_event(
    serve: Serve, record: Record, end: str, order_id: UUID
) -> None:
    async with serve(stream_poll_interval=timedelta(seconds=0.02)) as http:
        waiting = [asyncio.create_task(read(http, end, wait=30)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert not any(one.done() for one in waiting)

        await record(order_id, last_seq=1)

        async with asyncio.timeout(10):
            pages = await asyncio.gather(*waiting)
    assert [ids(page) for page in pages] == [[(str(order_id), 1)]] * 3


async def test_a_wait_without_an_event_ends_at_its_time(
    gateway: httpx.AsyncClient, end: str
) -> None:
    started_at = asyncio.get_running_loop().time()

    page = await read(gateway, end, wait=1)

    assert page["events"] == []
    assert 1 <= asyncio.get_running_loop().time() - started_at < 5


async def test_a_wait_ends_when_the_gateway_shuts_down(serve: Serve, end: str) -> None:
    async with serve() as http:
        waiting = asyncio.create_task(read(http, end, wait=30))
        await asyncio.sleep(0.1)
        http._transport.app.state.services.broadcaster.close_all()

        async with asyncio.timeout(5):
            assert (await waiting)["events"] == []


async def test_waiting_callers_count_as_event_streams(
    serve: Serve, make_key: MakeKey, end: str
) -> None:
    headers = bearer(await make_key(Role.VIEWER))
    async with serve(authentication="required", max_streams_per_caller=1) as http:
        query = {"after": end, "wait": "1"}
        requests = [http.get("/events", params=query, headers=headers) for _ in "ab"]
        responses = await asyncio.gather(*requests)
        again = await http.get("/events", params=query | {"wait": "0"}, headers=headers)

    assert sorted(response.status_code for response in responses) == [200, 429]
    assert again.status_code == 200


async def test_a_merchant_reads_the_events_of_its_own_orders_past_those_of_others(
    serve: Serve, make_key: MakeKey, record: Record, end: str
) -> None:
    client = f"shop-{uuid4().hex[:8]}"
    headers = bearer(await make_key(Role.MERCHANT, client=client))
    own, others = [uuid4(), uuid4()], [uuid4() for _ in range(5)]
    await record(own[0], last_seq=1, owner=f"api-key:{client}")
    for order_id in others:
        await record(order_id, owner="api-key:another")
    await record(own[1], last_seq=1, owner=f"api-key:{client}")

    found: list[tuple[str, int]] = []
    cursor = end
    async with serve(authentication="required", ownership="caller") as http:
        http.headers.update(headers)
        for _ in range(2):
            page = await read(http, cursor, limit=1)
            found += ids(page)
            cursor = page["next"]
        rest = await read(http, cursor)

    assert found == [(str(order_id), 1) for order_id in own]
    assert rest["events"] == []


async def test_the_cursor_of_a_merchant_moves_past_events_of_others(
    serve: Serve, make_key: MakeKey, record: Record, end: str, order_id: UUID
) -> None:
    await record(order_id, owner="api-key:another")
    async with serve(authentication="required", ownership="caller") as http:
        http.headers.update(bearer(await make_key(Role.MERCHANT)))
        page = await read(http, end)
        http.headers.update(bearer(await make_key(Role.OPERATOR)))
        after = await read(http, page["next"])

    assert page["events"] == after["events"] == []
    assert page["next"] != end


@pytest.mark.parametrize("cursor", ["WzFd.é", "invented", "WzEsMl0.c2lnbmF0dXJl"])
async def test_a_cursor_that_is_not_signed_for_the_feed_is_rejected(
    gateway: httpx.AsyncClient, cursor: str
) -> None:
    response = await gateway.get("/events", params={"after": cursor})

    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_a_cursor_is_valid_with_its_own_key_only(serve: Serve, end: str) -> None:
    async with serve(cursor_signing_key=SecretStr("another")) as http:
        response = await http.get("/events", params={"after": end})

    assert response.json()["type"] == "/problems/invalid-cursor"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "wait=31", "wait=-1", "start=x", "cursor=x"]
)
async def test_an_invalid_query_is_rejected(gateway: httpx.AsyncClient, query: str) -> None:
    response = await gateway.get(f"/events?{query}")

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


async def test_the_feed_without_postgresql_is_unavailable(
    without_database: httpx.AsyncClient,
) -> None:
    response = await without_database.get("/events")

    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
