"""A side of the benchmark: its processes, its client, and what is said about it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from fuze_bench.infrastructure import Infrastructure
from fuze_bench.load import OrderClient
from fuze_bench.temporal_stats import WorkflowIds
from fuze_devstack.processes import Component

SOURCE = Path(__file__).parents[1]
"""The folder that contains the package, for a Python that does not have it installed."""

TEMPORAL, POSTGRES, SANDBOX = "Temporal server", "PostgreSQL", "sandbox"
ORDER, PAYMENT, SHIPPING, API, APPLICATION, REDIS = (
    "order worker",
    "payment worker",
    "shipping worker",
    "gateway",
    "application",
    "Redis",
)
ROLES = (TEMPORAL, ORDER, PAYMENT, SHIPPING, APPLICATION, API, POSTGRES, REDIS, SANDBOX)
"""In the order in which the report lists them."""

Start = Callable[[Infrastructure, Path], Sequence[Component]]
"""Returns the processes of a side; the path is the environment of the rivals' packages."""

Connect = Callable[[Infrastructure], AbstractAsyncContextManager[OrderClient]]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the compared programs.

    `setup` says how it runs; `roles` names the role of each of its processes. `servers` are the
    shared servers that it uses. `schema` is created in PostgreSQL, with the tables of `tables.sql`,
    before the first round. `limits` are what it cannot do, or does not do here.
    """

    name: str
    title: str
    setup: str
    roles: Mapping[str, str]
    servers: tuple[str, ...]
    build_components: Start
    connect: Connect
    workflow_ids: WorkflowIds | None = None
    schema: str | None = None
    packages: tuple[str, ...] = ()
    needs_rival_packages: bool = False
    limits: tuple[str, ...] = field(default_factory=tuple)


def build_component(
    infrastructure: Infrastructure,
    name: str,
    command: Sequence[str],
    port: int,
    **variables: str,
) -> Component:
    """Return a process of a side, which is ready as soon as it listens on `port`."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PG", "TEMPORAL_", "PYTHON"))
    }
    return Component(
        name=name,
        command=command,
        environment={
            **inherited,
            "PYTHONPATH": str(SOURCE),
            "PYTHONUNBUFFERED": "1",
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_ADDRESS": infrastructure.temporal_address,
            "BENCH_DATABASE_URL": infrastructure.dsn,
            "BENCH_SANDBOX_URL": infrastructure.sandbox_url,
            **variables,
        },
        address=f"127.0.0.1:{port}",
        port=port,
        connection_info={},
        is_ready=_always,
    )


async def _always() -> bool:
    return True
