"""What a failed activity tells the server: one line, whatever it was that failed."""

import logging
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_LONGEST = 500


class FailureTruncationInterceptor(Interceptor):
    """Shortens the exceptions of activities to a type and a line.

    A database driver's exception carries a chain of others, with stack traces, that can pass the
    server's limit, and then nobody learns anything. The whole of it is in this process's log.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand in front of every activity."""
        return _Brief(next)


class _Brief(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's signature
        try:
            return await super().execute_activity(input)
        except FailureError as error:
            activity.logger.warning("the activity failed", extra={"error": str(error)})
            raise
        except Exception as error:  # noqa: BLE001 - shortened, logged and raised again
            activity.logger.warning("the activity failed", exc_info=True)
            kind = type(error).__name__
            raise ApplicationError(_first_line(error) or kind, type=kind) from None


def suppress_sdk_failure_log() -> None:
    """Drop the SDK's own line about a failed activity: ours has the trace and the order."""
    logging.getLogger("temporalio.activity").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Completing activity as failed")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:_LONGEST]
