"""The list of orders: filters, sorting, pagination, and the query plans of a large table.

`FUZE_LISTED_ORDERS` sets the size of the large table. With 1000000 or more, each page must also
take less than 20 ms in PostgreSQL.
"""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from gateway_harness import Serve
from pydantic import SecretStr
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement

from fuze_contracts.order_states import OrderStatus
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.orders.order_search import (
    MAX_SORTED_MATCHES,
    OrderFilter,
    count_matches_query,
    page_query,
)

_ROWS = int(os.environ.get("FUZE_LISTED_ORDERS", "50000"))
_TIMED_ROWS = 1_000_000
_MAX_MILLISECONDS = 20
_MAX_BUFFERS = 600
"""Pages of 8 kB that one page of orders may touch; a scan of the table touches thousands."""


@pytest.fixture(scope="session")
async def large_table(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """A large table of old orders, beside the orders of other tests."""
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        """
        INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, customer,
            reference, currency, total_minor, payment_token, address, last_seq, needs_attention,
            approval_deadline, created_at, updated_at)
        SELECT gen_random_uuid(), 'run', 'none',
            CASE WHEN n % 1000 = 0 THEN 'awaiting_approval' ELSE 'cancelled' END, 'none',
            'customer-' || n % 5000 || '@example.com', 'order-' || n, 'USD', n, 'token',
            '{"country": "US"}', 1, n % 2000 = 0, now(), made, made
        FROM generate_series(1, $1::int) AS n,
            LATERAL (SELECT timestamptz '2000-01-01' + n / 3 * interval '1 minute' AS made) AS at
        """,
        _ROWS,
    )
    await connection.execute("ANALYZE orders.orders")
    await connection.execute("SET random_page_cost = 1.1")  # as the gateway does
    yield connection
    await connection.close()


@pytest.fixture
async def five(postgres: EmbeddedPostgres) -> AsyncIterator[list[str]]:
    """Five orders of one customer, three of them with the same creation time."""
    connection = await asyncpg.connect(postgres.dsn)
    ids = [uuid4() for _ in range(5)]
    for number, order_id in enumerate(ids):
        await connection.execute(
            "INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, customer,"
            " currency, total_minor, payment_token, address, last_seq, approval_deadline,"
            " created_at, updated_at) VALUES ($1, 'run', 'none', 'cancelled', 'none',"
            " 'Grace Hopper', 'USD', 1, 'token', '{\"country\": \"US\"}', 1, now(),"
            " timestamptz '2019-01-01' + $2 * interval '1 day',"
            " timestamptz '2019-02-01' + $2 * interval '1 day')",
            *(order_id, min(number, 2)),
        )
    yield [str(order_id) for order_id in ids]
    await connection.execute("DELETE FROM orders.orders WHERE customer = 'Grace Hopper'")
    await connection.close()


def _sql(query: ClauseElement) -> str:
    return str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))


async def read_all_pages(http: httpx.AsyncClient, **query: object) -> list[str]:
    """Read every page and return the order ids."""
    found: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        response = await http.get("/orders", params={**query, **cursor})
        assert response.status_code == 200, response.text
        page = response.json()
        found += [order["order_id"] for order in page["orders"]]
        if page["next"] is None:
            return found
        assert f"cursor={page['next']}" in response.headers["link"]
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "-updated_at", "updated_at"])
async def test_pages_contain_every_order_once(
    gateway: httpx.AsyncClient, five: list[str], sort: str
) -> None:
    found = await read_all_pages(gateway, customer="Grace Hopper", limit=2, sort=sort)

    assert sorted(found) == sorted(five)
    oldest, latest = (-1, 0) if sort.startswith("-") else (0, -1)
    assert found[oldest] == five[0]
    assert found[latest] in five[2:]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"q": "grace h"}, [0, 1, 2, 3, 4]),
        ({"created_before": "2019-01-02T00:00:00Z"}, [0]),
        ({"created_from": "2019-01-02T00:00:00Z", "created_before": "2019-01-03T00:00:00Z"}, [1]),
        ({"updated_before": "2019-02-02T00:00:00Z", "created_from": "2019-01-01T00:00:00Z"}, [0]),
        ({"updated_from": "2019-02-02T00:00:00Z", "updated_before": "2019-02-03T00:00:00Z"}, [1]),
        ({"updated_from": "2019-02-03T01:00:00+01:00", "customer": "Grace Hopper"}, [2, 3, 4]),
        ({"customer": "Grace Hopper", "status": ["cancelled", "shipped"]}, [0, 1, 2, 3, 4]),
        ({"customer": "Grace Hopper", "status": "shipped"}, []),
        ({"customer": "Grace Hopper", "waiting_for": "approval"}, []),
        ({"status": "cancelled", "waiting_for": "approval"}, []),
        ({"customer": "Grace Hopper", "needs_attention": "true"}, []),
        ({"customer": "Grace Hopper", "needs_attention": "false"}, [0, 1, 2, 3, 4]),
        ({"q": "100%"}, []),
        ({"q": f"01234567-{'a' * 27}"}, []),
    ],
    ids=str,
)
async def test_filters_select_the_matching_orders(
    gateway: httpx.AsyncClient, five: list[str], query: dict[str, object], numbers: list[int]
) -> None:
    assert sorted(await read_all_pages(gateway, **query)) == sorted(
        five[number] for number in numbers
    )


async def test_an_order_is_found_by_a_prefix_of_its_id(
    gateway: httpx.AsyncClient, five: list[str]
) -> None:
    for length in (4, 8, 9, 13, 36):
        assert five[0] in await read_all_pages(gateway, q=five[0][:length].upper())


async def test_a_cursor_is_valid_for_its_own_filters_only(
    gateway: httpx.AsyncClient, serve: Serve, five: list[str]
) -> None:
    del five
    query = {"customer": "Grace Hopper", "limit": "2"}
    cursor = (await gateway.get("/orders", params=query)).json()["next"]

    async with serve(cursor_signing_key=SecretStr("another")) as elsewhere:
        rejected = [
            await elsewhere.get("/orders", params=query | {"cursor": cursor}),
            await gateway.get("/orders", params={"cursor": cursor}),
            await gateway.get("/orders", params=query | {"cursor": cursor[:-1]}),
            await gateway.get("/orders", params=query | {"cursor": "WzFd.é"}),
        ]

    kinds = {(response.status_code, response.json()["type"]) for response in rejected}
    assert kinds == {(400, "/problems/invalid-cursor")}


async def test_an_order_that_is_updated_between_two_pages_is_not_skipped(
    gateway: httpx.AsyncClient, postgres: EmbeddedPostgres, five: list[str]
) -> None:
    query: dict[str, str] = {"customer": "Grace Hopper", "limit": "1", "sort": "updated_at"}
    first = (await gateway.get("/orders", params=query)).json()
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "UPDATE orders.orders SET updated_at = '2019-03-01' WHERE id = $1", UUID(five[1])
    )
    await connection.close()

    rest = await gateway.get("/orders", params=query | {"limit": "9", "cursor": first["next"]})

    assert [order["order_id"] for order in first["orders"]] == [five[0]]
    found = [order["order_id"] for order in rest.json()["orders"]]
    assert sorted(found) == sorted(five[1:])
    assert found[-1] == five[1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=1000000000", "limit=ten", "sort=total", "status=lost", "q=ab",
     "created_from=yesterday", "created_from=2026-01-01T00:00:00", "q=a%00b", "needs_attention=2",
     "created_from=9999-12-31T23:59:59-14:00", "created_before=1e9",
     "surprise=1", "customer="],
)  # fmt: skip
async def test_an_invalid_query_is_rejected(gateway: httpx.AsyncClient, query: str) -> None:
    response = await gateway.get(f"/orders?{query}")

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


@pytest.mark.parametrize(
    "criteria",
    [
        OrderFilter(),
        OrderFilter(sort="created_at"),
        OrderFilter(sort="updated_at"),
        OrderFilter(sort="-updated_at", statuses=(OrderStatus.CANCELLED,)),
        OrderFilter(sort="updated_at", updated_from=datetime(2000, 1, 15, tzinfo=UTC)),
        OrderFilter(sort="updated_at", owner="api-key:nothing-placed"),
        OrderFilter(statuses=(OrderStatus.AWAITING_APPROVAL,)),
        OrderFilter(statuses=(OrderStatus.CANCELLED, OrderStatus.AWAITING_APPROVAL)),
        OrderFilter(customer="customer-77@example.com"),
        OrderFilter(customer="customer-0@example.com", statuses=(OrderStatus.AWAITING_APPROVAL,)),
        OrderFilter(reference="order-77"),
        OrderFilter(needs_attention=True),
        OrderFilter(needs_attention=False),
        OrderFilter(text="customer-77@"),
        OrderFilter(text="customer"),
        OrderFilter(text="abcd"),
    ],
    ids=repr,
)
async def test_a_page_of_a_large_table_is_read_by_an_index(
    large_table: asyncpg.Connection, criteria: OrderFilter
) -> None:
    middle = await large_table.fetchrow(
        "SELECT created_at, id FROM orders.orders WHERE created_at < '2000-01-20'"
        " ORDER BY created_at DESC LIMIT 1"
    )
    for after in (None, (middle["created_at"], UUID(str(middle["id"])))):
        many_match = (
            criteria.text is None
            or await large_table.fetchval(_sql(count_matches_query(criteria.text)))
            > MAX_SORTED_MATCHES
        )
        counted = (
            0.0
            if criteria.text is None
            else await _milliseconds(large_table, count_matches_query(criteria.text))
        )
        query = _sql(page_query(criteria, after, 50, many_match=many_match))

        plan_json = await large_table.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {query}")

        [explained] = json.loads(plan_json)
        plan = explained["Plan"]
        assert "Seq Scan" not in plan_json
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < _MAX_BUFFERS
        if _ROWS >= _TIMED_ROWS:
            assert (
                counted
                + await _milliseconds(
                    large_table, page_query(criteria, after, 50, many_match=many_match)
                )
                < _MAX_MILLISECONDS
            )


async def _milliseconds(connection: asyncpg.Connection, query: ClauseElement) -> float:
    """Return the planning and execution time of a query, the fastest of three runs."""
    times = []
    for _ in range(3):
        plan_json = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT json) {_sql(query)}")
        [explained] = json.loads(plan_json)
        times.append(explained["Planning Time"] + explained["Execution Time"])
    return float(min(times))
