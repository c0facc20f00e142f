"""The one way that a Fuze process talks to Temporal."""

import asyncio
import time

import structlog
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

_RETRY_PAUSE_SECONDS = 0.5


async def connect(
    *, lazy: bool = False, metrics_address: str | None = None, wait_seconds: float = 0
) -> Client:
    """Return a client that speaks pydantic and carries traces.

    Address, namespace, API key and TLS come from Temporal's own environment variables and profile
    files; without any it is the server on 127.0.0.1:7233. `lazy` connects at the first call, which
    suits a process that must start while Temporal is away; a worker needs a real connection, and
    keeps trying for `wait_seconds`.

    Raises:
        RuntimeError: no server answered in time.

    """
    runtime = Runtime(telemetry=TelemetryConfig(metrics=_prometheus(metrics_address)))
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return await Client.connect(
                **config,
                data_converter=pydantic_data_converter,
                interceptors=[TracingInterceptor()],
                lazy=lazy,
                runtime=runtime,
            )
        except RuntimeError as error:
            if time.monotonic() > deadline:
                raise
            structlog.get_logger(__name__).warning(
                "temporal is not there yet", address=config["target_host"], error=str(error)
            )
            await asyncio.sleep(_RETRY_PAUSE_SECONDS)


def _prometheus(address: str | None) -> PrometheusConfig | None:
    if address is None:
        return None
    return PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
