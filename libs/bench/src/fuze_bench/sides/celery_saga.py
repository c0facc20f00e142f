"""Celery: a saga over the order's status column, written by hand; tasks from Redis.

Each task does what the status requires, commits the next one, and sends the next task. A task
that was lost between the commit and Redis is sent again by `resend_stuck`, which reads the status.
"""

import functools
import os
import socket
from typing import Any

import httpx
import psycopg
from celery import Celery, signals
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from fuze_bench.sides import order_sql as sql

_STUCK_AFTER_SECONDS = 60

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,  # a task whose worker dies is delivered again
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": _STUCK_AFTER_SECONDS},
    broker_connection_retry_on_startup=True,
    beat_schedule={"resend-stuck": {"task": "resend_stuck", "schedule": _STUCK_AFTER_SECONDS}},
    task_default_queue="order",
    task_routes={"charge": "payment", "dispatch": "shipping"},
)

task = functools.partial(
    app.task,
    autoretry_for=(httpx.HTTPError, psycopg.OperationalError),
    retry_backoff=True,
    max_retries=None,
)


@task(name="charge")
def charge(order_id: str) -> None:
    """Charge an approved order at the payment provider, once per idempotency key."""
    order = _read(order_id)
    if order["status"] != "approved":
        return
    key = sql.payment_id(order_id)
    currency, method = order["currency"], order["payment_method"]
    _execute(sql.SUBMIT_PAYMENT, key, order_id, sql.total(order), currency, method)
    reference = _post("/psp/charges", key, sql.charge_request(order))["id"]
    _execute(sql.SETTLE_PAYMENT, key, reference)
    _execute(sql.CHARGED, order_id, reference)
    dispatch.delay(order_id)


@task(name="dispatch")
def dispatch(order_id: str) -> None:
    """Dispatch the parcel at the carrier, once per idempotency key."""
    order = _read(order_id)
    if order["status"] != "preparing":
        return
    key = sql.shipment_id(order_id)
    _execute(sql.SUBMIT_SHIPMENT, *sql.shipment_parameters(order))
    parcel = _post("/carrier/parcels", key, sql.parcel_request(order))
    _execute(sql.SETTLE_SHIPMENT, key, parcel["carrier"], parcel["tracking_number"])
    complete.delay(order_id, parcel["tracking_number"])


@task(name="complete")
def complete(order_id: str, tracking_number: str) -> None:
    """Record that the order is shipped."""
    _record(order_id, "order_shipped", tracking_number=tracking_number)


_NEXT_TASK = {"approved": charge, "preparing": dispatch}


@app.task(name="resend_stuck")
def resend_stuck() -> None:
    """Send the next task of each order that has not moved for a while."""
    query = (
        "SELECT id::text, status FROM orders WHERE status = ANY($1)"
        " AND updated_at < now() - make_interval(secs => $2)"
    )
    with _pool().connection() as connection:
        stuck = connection.execute(query, (list(_NEXT_TASK), _STUCK_AFTER_SECONDS)).fetchall()
    for row in stuck:
        _NEXT_TASK[row["status"]].delay(row["id"])


def _read(order_id: str) -> dict[str, Any]:
    """Return the order as it was placed, and its status."""
    with _pool().connection() as connection:
        row = connection.execute(sql.GET_ORDER_WITH_LINES, (order_id,)).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order_id}")
    return dict(row)


def _record(order_id: str, event: str, **details: str) -> None:
    _execute(sql.TRANSITION, *sql.transition_parameters(order_id, event, **details))


def _execute(statement: str, *parameters: Any) -> None:  # noqa: ANN401 - what psycopg takes
    with _pool().connection() as connection:
        connection.execute(statement, parameters)


def _post(path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    response = _http().post(path, json=body, headers={"Idempotency-Key": key})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


@signals.worker_ready.connect
def _open_ready_port(**_: Any) -> None:  # noqa: ANN401 - what the signal passes
    """Open a port, which shows that the worker is ready."""
    app.ready = socket.create_server(("127.0.0.1", int(os.environ["BENCH_READY_PORT"])))


@signals.worker_shutdown.connect
def _close_pool(**_: Any) -> None:  # noqa: ANN401 - what the signal passes
    """Close the pool while its threads can still be joined."""
    _pool().close()


@functools.cache
def _pool() -> ConnectionPool:
    """Return the pool of this process; `autocommit` makes a statement one transaction."""
    options = f"-c search_path={os.environ['BENCH_SCHEMA']}"
    return ConnectionPool(
        os.environ["BENCH_DATABASE_URL"],
        kwargs={
            "autocommit": True,
            "options": options,
            "row_factory": dict_row,
            "cursor_factory": psycopg.RawCursor,
        },
        min_size=4,
        max_size=16,
        open=True,
    )


@functools.cache
def _http() -> httpx.Client:
    return httpx.Client(base_url=os.environ["BENCH_SANDBOX_URL"], timeout=10, trust_env=False)
