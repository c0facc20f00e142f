"""The baseline of the benchmark: a FastAPI app with the gateway's query and nothing else."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI

from fuze_gateway.orders.queries import _ORDER, _ORDER_WITH_LAST_EVENT


async def _decode_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["FUZE_DATABASE_URL"].replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=10, max_size=10, init=_decode_json) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders/{order_id}")
async def order(order_id: UUID) -> dict[str, Any]:
    return dict(await app.state.pool.fetchrow(_ORDER.text, order_id))


@app.get("/orders/{order_id}/status")
async def status(order_id: UUID) -> dict[str, Any]:
    return dict(await app.state.pool.fetchrow(_ORDER_WITH_LAST_EVENT.text, order_id))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BASELINE_PORT"]), access_log=False, log_level="warning")
