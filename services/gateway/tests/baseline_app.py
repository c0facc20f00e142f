"""The baseline of the benchmark: a FastAPI app with one query per request and nothing else."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI

_ORDER = """
    SELECT order_id, status, payment_status, last_seq, tracking_deadline, reason, customer,
    currency,
           total_minor, address, tracking_number, fingerprint, created_at, updated_at,
           needs_attention, payment_method, lines
    FROM orders.published_orders WHERE order_id = $1
"""
_STATUS = """
    SELECT o.order_id, o.status, o.payment_status, o.last_seq, o.tracking_deadline, o.reason,
           o.customer, o.currency, o.total_minor, o.address, o.tracking_number, o.fingerprint,
           o.created_at, o.updated_at, o.needs_attention, o.payment_method,
           e.seq AS event_seq, e.type AS event_type, e.status AS event_status,
           e.payment_status AS event_payment_status, e.actor AS event_actor,
           e.details AS event_details, e.occurred_at AS event_occurred_at,
           e.recorded_at AS event_recorded_at
    FROM orders.published_orders o
    JOIN orders.published_events e ON e.order_id = o.order_id AND e.seq = o.last_seq
    WHERE o.order_id = $1
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["FUZE_DATABASE_URL"].replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders/{order_id}")
async def order(order_id: UUID) -> dict[str, Any]:
    return dict(await app.state.pool.fetchrow(_ORDER, order_id))


@app.get("/orders/{order_id}/status")
async def status(order_id: UUID) -> dict[str, Any]:
    return dict(await app.state.pool.fetchrow(_STATUS, order_id))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BASELINE_PORT"]), access_log=False, log_level="warning")
