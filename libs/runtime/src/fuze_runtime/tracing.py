"""Spans of a process, exported over OTLP.

Without an endpoint there is no tracer: nothing records, sends or propagates a span. With one, each
statement of PostgreSQL and each request to another system is a span of the request or activity that
it belongs to. No span has a query string, an argument of a statement, or a row.
"""

import importlib.util
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, StatusCode, TraceState
from opentelemetry.util.types import Attributes
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext, ExecutionContext

if TYPE_CHECKING:
    from asyncpg.connection import LoggedQuery

_QUERY_STRING = "url.query"


def is_enabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process exports its spans."""
    names = (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
    return any(environment.get(name) for name in names)


def configure(resource: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Export spans if `environment` has `OTEL_EXPORTER_OTLP_ENDPOINT`; call it once."""
    if not is_enabled(environment):
        return
    from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415 - slow, and often unused
        trace_exporter,
    )

    provider = TracerProvider(resource=Resource.create(dict(resource)))
    provider.sampler = _WithoutQueryString(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(trace_exporter.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    if importlib.util.find_spec("httpx"):  # not every service calls one
        _trace_http_clients()


def get_trace_id() -> str | None:
    """Return the id of the current trace, as 32 hexadecimal digits, or None outside of one."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else None


def shut_down() -> None:
    """Export the pending spans."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def trace_statements(engine: Engine) -> None:
    """Give each statement of an SQLAlchemy engine a span, if spans are exported."""
    if is_enabled():
        event.listen(engine, "before_cursor_execute", _begin_statement)
        event.listen(engine, "after_cursor_execute", _end_statement)
        event.listen(engine, "handle_error", _fail_statement)


def record_query(query: "LoggedQuery") -> None:
    """Record the span of a statement that has ended; for asyncpg's `add_query_logger`."""
    started = time.time_ns() - int(query.elapsed * 1e9)
    _record_statement(str(query.query), started, query.exception)


def _begin_statement(
    _connection: Connection,
    _cursor: object,
    _statement: str,
    _parameters: object,
    context: ExecutionContext,
    _many: bool,  # noqa: FBT001 - SQLAlchemy's signature
) -> None:
    context.fuze_started = time.time_ns()  # type: ignore[attr-defined] # SQLAlchemy's place for it


def _end_statement(
    _connection: Connection,
    _cursor: object,
    statement: str,
    _parameters: object,
    context: ExecutionContext,
    _many: bool,  # noqa: FBT001 - SQLAlchemy's signature
) -> None:
    _record_statement(statement, context.fuze_started)  # type: ignore[attr-defined] # see above


def _fail_statement(failure: ExceptionContext) -> None:
    started = getattr(failure.execution_context, "fuze_started", None)
    if failure.statement and started:
        _record_statement(failure.statement, started, failure.original_exception)


def _record_statement(text: str, started: int, error: BaseException | None = None) -> None:
    if not trace.get_current_span().is_recording():  # of a poll, or of the pool's own
        return
    operation = text.split(maxsplit=1)[0].rstrip(";").upper()
    span = trace.get_tracer(__name__).start_span(
        operation,
        kind=SpanKind.CLIENT,
        start_time=started,
        attributes={
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text,
        },
    )
    if error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(StatusCode.ERROR)
    span.end()


class _WithoutQueryString(Sampler):
    """Removes what the URL of a request has after its path: it may have a ticket, or a name."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 - OpenTelemetry's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision, with the attributes that the span begins with."""
        if attributes and _QUERY_STRING in attributes:
            attributes = {key: value for key, value in attributes.items() if key != _QUERY_STRING}
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return the description of the sampler that decides."""
        return self._sampler.get_description()


def _trace_http_clients() -> None:
    """Give each request of an httpx client a span, and the receiver its context.

    The clients belong to providers and carriers, and to their packages: so it is done once, in
    the transport that all of them share.
    """
    import httpx  # noqa: PLC0415 - see above

    tracer = trace.get_tracer(__name__)
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def send_in_span(
        transport: httpx.AsyncHTTPTransport, request: httpx.Request
    ) -> httpx.Response:
        if not trace.get_current_span().is_recording():
            return await send(transport, request)
        attributes = {"http.request.method": request.method, "server.address": request.url.host}
        with tracer.start_as_current_span(
            request.method,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            propagate.inject(request.headers)
            try:
                response = await send(transport, request)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            span.set_attribute("http.response.status_code", response.status_code)
            if response.is_error:
                span.set_status(StatusCode.ERROR)
            return response

    # As OpenTelemetry's own instrumentation does it.
    httpx.AsyncHTTPTransport.handle_async_request = send_in_span  # type: ignore[method-assign, assignment] # on purpose
