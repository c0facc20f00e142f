"""Metrics of a process: Temporal's SDK serves its own and ours at `FUZE_METRICS_ADDRESS`.

Without the address its meter records nothing. docs/reference/metrics.md lists the metrics. A
duration's name gets the suffix `_seconds`; that of a counter has its `_total` already.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from temporalio.client import Client
from temporalio.common import MetricGaugeFloat, MetricMeter
from temporalio.runtime import PrometheusConfig

_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_LIFETIME_BUCKETS = (
    *(1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY),
)
_BUCKETS = {
    "fuze_http_request_duration": _DURATION_BUCKETS,
    "fuze_console_http_request_duration": _DURATION_BUCKETS,
    "fuze_order_time_to_ship": _LIFETIME_BUCKETS,
}

PROCESS_INTERVAL = 5.0
"""Seconds between two readings of what the process knows itself."""
DATABASE_INTERVAL = 30.0
"""Seconds between two readings of the database."""

_log = structlog.get_logger(__name__)


def build_prometheus_config(address: str | None) -> PrometheusConfig | None:
    """Return how the SDK serves the metrics; None without an address."""
    if address is None:
        return None
    return PrometheusConfig(
        bind_address=address,
        counters_total_suffix=False,  # some of the SDK's have it already, and would have it twice
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=_BUCKETS,
    )


def get_meter(client: Client) -> MetricMeter:
    """Return the meter of this process, which is that of its Temporal client."""
    runtime = client.service_client.config.runtime
    return runtime.metric_meter if runtime else MetricMeter.noop


@dataclass(frozen=True)
class Reading:
    """The value of a gauge at this moment."""

    name: str
    description: str
    value: float
    attributes: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[], Awaitable[Sequence[Reading]]]
"""Returns the values of some gauges. It may fail: then they keep their values."""


@asynccontextmanager
async def publish_gauges(
    meter: MetricMeter, *sources: tuple[Read, float], is_enabled: bool
) -> AsyncIterator[None]:
    """Read each source again and again, after so many seconds, while the block runs."""
    tasks = [
        asyncio.create_task(_publish(meter, read, seconds))
        for read, seconds in sources
        if is_enabled
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _publish(meter: MetricMeter, read: Read, seconds: float) -> None:
    gauges: dict[str, MetricGaugeFloat] = {}
    while True:
        try:
            for one in await read():
                if one.name not in gauges:
                    gauges[one.name] = meter.create_gauge_float(one.name, one.description)
                gauges[one.name].set(one.value, one.attributes)
        except Exception as error:  # noqa: BLE001 - read again; an outage has alerts of its own
            _log.warning("gauges not read", error=type(error).__name__)
        await asyncio.sleep(seconds)


class Pool(Protocol):
    """A pool of database connections, as numbers."""

    @property
    def size(self) -> int:
        """How many connections it may have."""
        ...

    @property
    def in_use(self) -> int:
        """How many of them are in use."""
        ...

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        ...


def read_pool(pool: Pool) -> Sequence[Reading]:
    """Return the gauges of a pool."""
    return (
        Reading("fuze_database_pool_size", "Connections that the pool may have", pool.size),
        Reading("fuze_database_pool_in_use", "Connections in use", pool.in_use),
        Reading("fuze_database_pool_waiting", "Callers that wait for a connection", pool.waiting),
    )


class CountingPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which also counts the callers that wait for a connection."""

    waiting = 0

    def connect(self) -> PoolProxiedConnection:
        """Return a connection, once there is one."""
        self.waiting += 1
        try:
            return super().connect()
        finally:
            self.waiting -= 1


@dataclass(frozen=True)
class EnginePool:
    """The pool of an engine of SQLAlchemy."""

    engine: AsyncEngine

    @property
    def size(self) -> int:
        """How many connections it may have."""
        return self._pool.size()

    @property
    def in_use(self) -> int:
        """How many of them are in use."""
        return self._pool.checkedout()

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        return self._pool.waiting

    @property
    def _pool(self) -> CountingPool:
        pool = self.engine.pool
        if not isinstance(pool, CountingPool):
            raise TypeError("the engine is not that of create_engine")
        return pool
