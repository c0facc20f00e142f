"""Services whose logs, spans and metrics are collected: the workers, a gateway and a console.

They run beside those of the shared stack, on its PostgreSQL and its sandbox, but in a namespace of
their own, so that no other worker takes their tasks.
"""

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stack_client import StackClient, eventually
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from fuze_devstack.ports import Ports

NAMESPACE = "observed"
WORKERS = ("order", "payment", "shipping", "webhooks")
_OBSERVED = (*WORKERS, "gateway", "console")


@dataclass(frozen=True)
class Span:
    """A span as it was exported. `start` and `end` are nanoseconds since 1970."""

    service: str
    name: str
    id: str
    parent_id: str
    trace_id: str
    attributes: dict[str, str]
    start: int
    end: int
    text: str
    """Everything in it, to search."""


@dataclass
class SpanReceiver:
    """An OTLP endpoint that keeps what it receives."""

    url: str
    spans: list[Span] = field(default_factory=list)

    def get_trace(self, name: str, **attributes: str) -> list[Span]:
        """Return the trace of the one span with the name and the attributes."""
        [root] = [
            one
            for one in self.spans
            if one.name == name and attributes.items() <= one.attributes.items()
        ]
        return [one for one in self.spans if one.trace_id == root.trace_id]


@contextmanager
def receive_spans() -> Iterator[SpanReceiver]:
    """Receive spans over OTLP while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.spans += _parse_spans(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = SpanReceiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _parse_spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        names = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for one in scope.spans:
                yield Span(
                    service=names["service.name"],
                    name=one.name,
                    id=one.span_id.hex(),
                    parent_id=one.parent_span_id.hex(),
                    trace_id=one.trace_id.hex(),
                    attributes={item.key: item.value.string_value for item in one.attributes},
                    start=one.start_time_unix_nano,
                    end=one.end_time_unix_nano,
                    text=str(one),
                )


class ObservedServices:
    """The running services."""

    def __init__(self, stack: StackClient, folder: Path, settings: dict[str, str]) -> None:
        ports = Ports.free()
        self.url = f"http://127.0.0.1:{ports.gateway}"
        metrics_ports = Ports.free()
        self.temporal_address = stack.connection_info["temporal"]["address"]
        self._metrics = {name: f"127.0.0.1:{metrics_ports[name]}" for name in _OBSERVED}
        self._logs = {name: folder / f"{name}.log" for name in self._metrics}
        self._processes = {}
        for name in self._metrics:
            running = psutil.Process(stack.connection_info[name]["pid"])
            environment = {
                **running.environ(),
                "TEMPORAL_NAMESPACE": NAMESPACE,
                "FUZE_PORT": str(ports[name]),
                "FUZE_HEALTH_PORT": str(ports[name]),
                "FUZE_METRICS_ADDRESS": self._metrics[name],
                "FUZE_REVISION": "0f1e2d3",
                # Not the orders of the stack, which have no workflow in this namespace.
                "FUZE_ORDER_RECONCILE_INTERVAL": "30d",
                **settings,
            }
            with self._logs[name].open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    running.cmdline(), env=environment, stdout=log, stderr=subprocess.STDOUT
                )
        self._health = {name: f"http://127.0.0.1:{ports[name]}/readyz" for name in self._metrics}

    def wait_until_ready(self, http: httpx.Client) -> None:
        """Wait until every service is ready."""
        for name, url in self._health.items():
            eventually(lambda url=url: _is_ready(http, url), f"{name} is ready")

    def terminate(self) -> None:
        """End every service with SIGTERM."""
        for process in self._processes.values():
            process.terminate()
        assert {process.wait(30) for process in self._processes.values()} == {0}

    def kill(self) -> None:
        """End what still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def read_lines(self, service: str) -> list[str]:
        """Return what the service has written to stdout and stderr."""
        return self._logs[service].read_text().splitlines()

    def read_log(self, service: str) -> list[dict[str, Any]]:
        """Return the service's log records."""
        return [json.loads(line) for line in self.read_lines(service)]

    def scrape(self, http: httpx.Client) -> dict[str, str]:
        """Return the metrics of each service, as text."""
        return {
            name: http.get(f"http://{address}/metrics").text
            for name, address in self._metrics.items()
        }


def _is_ready(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).is_success
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def observed_services(
    stack: StackClient, folder: Path, receiver: SpanReceiver
) -> AsyncIterator[tuple[ObservedServices, Client]]:
    """Run the services while the block runs; yield them with a client of their namespace."""
    address = stack.connection_info["temporal"]["address"]
    admin = await Client.connect(address)
    await admin.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=NAMESPACE,
            workflow_execution_retention_period=Duration(seconds=86_400),
        )
    )
    client = await Client.connect(
        address, namespace=NAMESPACE, data_converter=pydantic_data_converter
    )
    async with asyncio.timeout(timedelta(seconds=30).total_seconds()):
        while not await _has_namespace(client):
            await asyncio.sleep(0.1)
    services = ObservedServices(stack, folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
    try:
        await asyncio.to_thread(services.wait_until_ready, stack.http)
        yield services, client
    finally:
        services.kill()


async def _has_namespace(client: Client) -> bool:
    try:
        return await client.count_workflows() is not None
    except RPCError:  # each part of the server reads its namespaces now and then
        return False
