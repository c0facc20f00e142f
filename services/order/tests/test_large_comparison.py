"""The comparison of many open orders with Temporal.

`FUZE_OPEN_ORDERS` sets their number. With 5000 or more, which `make proof` uses, the comparison
must take less than a minute for each 100000.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from order_harness import build_receipt
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.order import PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_order.reconciliation import OpenOrderComparison
from fuze_order.reconciliation_repository import ReconciliationRepository
from fuze_order.repository import OrderRepository
from fuze_testing.temporal import start_dev_server

Order = Callable[..., PlaceOrder]

_ORDERS = int(os.environ.get("FUZE_OPEN_ORDERS", "200"))
_TIMED_ORDERS = 5_000
_MAX_TIME = timedelta(minutes=1) / 100_000
_ORDERS_PER_MISSING_ONE = 100
_CONCURRENT_STARTS = 50


@pytest.fixture
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """A server of its own, which ends with its many workflows."""
    async with await start_dev_server() as environment:
        yield environment


@pytest.fixture
async def open_orders(
    postgres: EmbeddedPostgres, engine_of: Callable[[str], AsyncEngine], make_order: Order
) -> AsyncIterator[list[UUID]]:
    """Many orders that await approval, without workflows."""
    template = make_order()
    await OrderRepository(engine_of("order")).create(
        build_receipt(template, run_id="run", occurred_at=datetime.now(UTC))
    )
    connection = await asyncpg.connect(postgres.dsn)
    rows = await connection.fetch(
        """
        INSERT INTO orders.orders
        SELECT copied.* FROM orders.orders AS template, generate_series(1, $2::int) AS n,
            jsonb_populate_record(template, jsonb_build_object(
                'id', gen_random_uuid(), 'status', 'awaiting_approval', 'customer', 'one of many',
                'created_at', now() - n * interval '1 s', 'updated_at', now() - interval '1 h'
            )) AS copied
        WHERE template.id = $1
        RETURNING id
        """,
        template.order_id,
        _ORDERS,
    )
    await connection.execute("VACUUM (ANALYZE) orders.orders")
    yield [row["id"] for row in rows]
    await connection.execute("DELETE FROM orders.orders WHERE customer = 'one of many'")
    await connection.close()


async def start_workflows(temporal: WorkflowEnvironment, order_ids: Sequence[UUID]) -> None:
    """Start a workflow for each order, on a queue that no worker polls: they stay open."""
    client = temporal.client
    slots = asyncio.Semaphore(_CONCURRENT_STARTS)

    async def start(order_id: UUID) -> None:
        request = StartWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_id=order_workflow_id(order_id),
            workflow_type=WorkflowType(name="OrderWorkflow"),
            task_queue=TaskQueue(name="unpolled"),
            request_id=str(uuid4()),
        )
        async with slots:
            await client.workflow_service.start_workflow_execution(request, retry=True)

    await asyncio.gather(*map(start, order_ids))


async def test_orders_without_a_workflow_are_found_among_many(
    temporal: WorkflowEnvironment,
    open_orders: list[UUID],
    postgres: EmbeddedPostgres,
    engine_of: Callable[[str], AsyncEngine],
) -> None:
    missing = set(open_orders[::_ORDERS_PER_MISSING_ONE])
    await start_workflows(temporal, [one for one in open_orders if one not in missing])
    comparison = OpenOrderComparison(ReconciliationRepository(engine_of("order")))

    began = time.monotonic()
    await comparison.compare(temporal.client, idle_for=timedelta(minutes=1))
    elapsed = timedelta(seconds=time.monotonic() - began)

    connection = await asyncpg.connect(postgres.dsn)
    flagged = await connection.fetch(
        "SELECT id FROM orders.orders WHERE workflow_missing_at IS NOT NULL"
        " AND customer = 'one of many'"
    )
    await connection.close()
    assert {row["id"] for row in flagged} == missing
    if _ORDERS >= _TIMED_ORDERS:
        assert elapsed < _MAX_TIME * _ORDERS
