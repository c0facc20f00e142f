"""Logs and traces of a process.

Each log line is one JSON object, also those of libraries, of warnings, and of exceptions that
nothing catches. A line from a workflow or an activity has its `workflow_id`, its `run_id` and the
fields that `workflow_log_fields` parses from the id. A line from inside a span has its `trace_id`.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import TracebackType
from typing import Any

import asyncpg
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from fuze_runtime import failure_interceptor, log_output, metrics, tracing
from fuze_runtime.settings import ProcessSettings

_STDOUT, _STDERR = 1, 2

WorkflowLogFields = Callable[[str], Mapping[str, str]]
"""Returns the log fields that a workflow id contains."""


def configure(
    settings: ProcessSettings,
    service: str,
    *,
    environment: Mapping[str, str],
    workflow_log_fields: WorkflowLogFields = lambda _: {},
    has_output: bool = False,
) -> None:
    """Configure logging and tracing of this process; call it once, first thing in `__main__`.

    Log lines are written to stdout; with `has_output`, to stderr, as stdout has the output of a
    command. Spans are exported over OTLP when `environment` has `OTEL_EXPORTER_OTLP_ENDPOINT`.
    Without it there are none, and log lines have no `trace_id`.
    """
    tracing.configure(
        {
            "service.name": f"fuze-{service}",
            "service.version": version(f"fuze-{service}"),
            "deployment.environment.name": settings.environment,
        },
        environment,
    )
    output = log_output.QueuedOutput(_STDERR if has_output else _STDOUT)
    _configure_logging(settings, service, workflow_log_fields, output)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def shut_down() -> None:
    """Write the queued log lines, and export the pending spans."""
    _flush()
    tracing.shut_down()


def _flush() -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger(__name__).critical("process failed", exc_info=(kind, error, traceback))
    _flush()


def _log_uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value:
        logging.getLogger(__name__).error(
            "thread failed", exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback)
        )


def _configure_logging(
    settings: ProcessSettings,
    service: str,
    workflow_log_fields: WorkflowLogFields,
    handler: logging.Handler,
) -> None:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=_EXTRA_FIELDS),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _add_fields(
            service=service,
            version=version(f"fuze-{service}"),
            revision=settings.revision,
            environment=settings.environment,
        ),
        _temporal_fields(workflow_log_fields),
        _add_trace_id,
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    handler.addFilter(log_output.SdkRateLimit())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for verbose in ("httpx", "httpcore", "alembic", metrics.CountingPool.__module__):
        logging.getLogger(verbose).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    failure_interceptor.suppress_sdk_failure_log()
    # PostgreSQL's detail of a violated constraint is the row itself, with its personal data.
    asyncpg.PostgresError.__str__ = _get_message
    # Our own processor adds these to every line, as fields.
    workflow.logger.workflow_info_on_message = False
    workflow.logger.workflow_info_on_extra = False
    activity.logger.activity_info_on_message = False
    activity.logger.activity_info_on_extra = False


_EXTRA_FIELDS = (
    *("step", "status", "seq", "reason", "error", "outcome"),
    *("dropped", "suppressed"),
)
"""The fields that `workflow.logger.info(…, extra={…})` may add to a line."""


def _get_message(error: asyncpg.PostgresError) -> str:
    return str(error.args[0])


def _add_fields(**fields: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.update(fields)
        return event

    return add


def _temporal_fields(workflow_log_fields: WorkflowLogFields) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        fields = _current_execution()
        workflow_id = fields.get("workflow_id")
        if workflow_id:
            event.update(fields)
            event.update(workflow_log_fields(workflow_id))
        return event

    return add


def _current_execution() -> dict[str, Any]:
    if activity.in_activity():
        info = activity.info()
        return {
            "workflow_id": info.workflow_id,
            "run_id": info.workflow_run_id,
            "activity": info.activity_type,
            "attempt": info.attempt,
        }
    if workflow.in_workflow():
        run = workflow.info()
        return {"workflow_id": run.workflow_id, "run_id": run.run_id}
    return {}


def _add_trace_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if trace_id := tracing.get_trace_id():
        event["trace_id"] = trace_id
    return event
