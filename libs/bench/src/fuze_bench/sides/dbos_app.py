"""DBOS: the order process, the shipment as a child workflow, and the REST API in one process.

The steps are those of Fuze, and have no effect the second time. DBOS records each result, and runs
again after a crash what is not recorded.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn
from dbos import DBOS, SetWorkflowID
from fastapi import FastAPI, HTTPException

from fuze_bench.sides import order_sql as sql

_APPROVAL_TIMEOUT_SECONDS = 7 * 24 * 3600
_SANDBOX = os.environ["BENCH_SANDBOX_URL"]


class _Connections:
    """The pool and the HTTP client of the process."""

    postgres: asyncpg.Pool
    http: httpx.AsyncClient


@asynccontextmanager
async def _connect(_: FastAPI) -> AsyncIterator[None]:
    async with (
        asyncpg.create_pool(
            os.environ["BENCH_DATABASE_URL"],
            server_settings={"search_path": os.environ["BENCH_SCHEMA"]},
            min_size=4,
            max_size=10,
        ) as _Connections.postgres,
        httpx.AsyncClient(base_url=_SANDBOX, timeout=10, trust_env=False) as _Connections.http,
    ):
        yield


app = FastAPI(lifespan=_connect)


@DBOS.workflow()
async def order_workflow(order: sql.Order) -> None:
    """Take the order from received to shipped."""
    order_id = order["order_id"]
    await receive(order)
    if not await DBOS.recv_async("approval", timeout_seconds=_APPROVAL_TIMEOUT_SECONDS):
        return
    await record(order_id, "order_approved", {})
    charge = await charge_payment(order)
    await record_charge(order_id, charge)
    with SetWorkflowID(f"shipping/{order_id}"):
        tracking_number = await shipping_workflow(order)
    await record(order_id, "order_shipped", {"tracking_number": tracking_number})


@DBOS.workflow()
async def shipping_workflow(order: sql.Order) -> str:
    """Dispatch the order's parcel, and return its tracking number."""
    tracking_number: str = await dispatch_shipment(order)
    return tracking_number


@DBOS.step(retries_allowed=True, max_attempts=10)
async def receive(order: sql.Order) -> None:
    """Insert the order, its lines and first events."""
    await _Connections.postgres.execute(sql.RECEIVE, *sql.receive_parameters(order))


@DBOS.step(retries_allowed=True, max_attempts=10)
async def record(order_id: str, event: str, details: dict[str, str]) -> None:
    """Insert the event, and update the row."""
    parameters = sql.transition_parameters(order_id, event, **details)
    await _Connections.postgres.execute(sql.TRANSITION, *parameters)


@DBOS.step(retries_allowed=True, max_attempts=10)
async def record_charge(order_id: str, reference: str) -> None:
    """Insert that the order is charged and that its shipment starts, and update the row."""
    await _Connections.postgres.execute(sql.CHARGED, order_id, reference)


@DBOS.step(retries_allowed=True, max_attempts=10)
async def charge_payment(order: sql.Order) -> str:
    """Charge the order at the payment provider, once per idempotency key, and store the result."""
    order_id, currency, method = order["order_id"], order["currency"], order["payment_method"]
    key, postgres = sql.payment_id(order_id), _Connections.postgres
    await postgres.execute(sql.SUBMIT_PAYMENT, key, order_id, sql.total(order), currency, method)
    charge = await _post("/psp/charges", key, sql.charge_request(order))
    await postgres.execute(sql.SETTLE_PAYMENT, key, charge["id"])
    return str(charge["id"])


@DBOS.step(retries_allowed=True, max_attempts=10)
async def dispatch_shipment(order: sql.Order) -> str:
    """Dispatch the parcel at the carrier, once per idempotency key, and store the result."""
    key, postgres = sql.shipment_id(order["order_id"]), _Connections.postgres
    await postgres.execute(sql.SUBMIT_SHIPMENT, *sql.shipment_parameters(order))
    parcel = await _post("/carrier/parcels", key, sql.parcel_request(order))
    tracking_number = str(parcel["tracking_number"])
    await postgres.execute(sql.SETTLE_SHIPMENT, key, parcel["carrier"], tracking_number)
    return tracking_number


async def _post(path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await _Connections.http.post(path, json=body, headers={"Idempotency-Key": key})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


@app.post("/orders/{order_id}/start", status_code=202)
async def start_order(order_id: UUID, body: dict[str, Any]) -> dict[str, str]:
    """Start the order's workflow, once per id."""
    with SetWorkflowID(str(order_id)):
        await DBOS.start_workflow_async(order_workflow, {**body, "order_id": str(order_id)})
    return {"order_id": str(order_id)}


@app.post("/orders/{order_id}/signals/approve", status_code=202)
async def approve(order_id: UUID) -> dict[str, bool]:
    """Send the approval to the order's workflow."""
    await DBOS.send_async(str(order_id), message=True, topic="approval")
    return {"accepted": True}


@app.get("/orders/{order_id}")
async def get_order(order_id: UUID) -> dict[str, Any]:
    """Return the order's row."""
    row = await _Connections.postgres.fetchrow(sql.GET_ORDER, order_id)
    if row is None:
        raise HTTPException(404, "there is no such order")
    return dict(row)


if __name__ == "__main__":
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["BENCH_DATABASE_URL"],
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning")
