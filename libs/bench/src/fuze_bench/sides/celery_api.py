"""The REST API of the Celery side: it receives and validates an order, and sends its first task."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException

from fuze_bench.sides import order_sql as sql
from fuze_bench.sides.celery_saga import charge


class _Connections:
    """The pool of the process."""

    postgres: asyncpg.Pool


@asynccontextmanager
async def _connect(_: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"],
        server_settings={"search_path": os.environ["BENCH_SCHEMA"]},
        min_size=4,
        max_size=10,
    ) as _Connections.postgres:
        yield


app = FastAPI(lifespan=_connect)


@app.post("/orders/{order_id}/start", status_code=202)
async def start_order(order_id: UUID, body: dict[str, Any]) -> dict[str, str]:
    """Receive and validate the order, once per id."""
    order = {**body, "order_id": str(order_id)}
    await _Connections.postgres.execute(sql.RECEIVE, *sql.receive_parameters(order))
    return {"order_id": str(order_id)}


@app.post("/orders/{order_id}/signals/approve", status_code=202)
async def approve(order_id: UUID) -> dict[str, bool]:
    """Approve the order, and send the task that charges it."""
    await _record(str(order_id), "order_approved")
    await asyncio.to_thread(charge.delay, str(order_id))
    return {"accepted": True}


@app.get("/orders/{order_id}")
async def get_order(order_id: UUID) -> dict[str, Any]:
    """Return the order's row."""
    row = await _Connections.postgres.fetchrow(sql.GET_ORDER, order_id)
    if row is None:
        raise HTTPException(404, "there is no such order")
    return dict(row)


async def _record(order_id: str, event: str) -> None:
    await _Connections.postgres.execute(sql.TRANSITION, *sql.transition_parameters(order_id, event))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning")
