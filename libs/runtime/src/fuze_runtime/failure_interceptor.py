"""What Temporal stores of a failed activity: the error's type and one line."""

import logging
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_MAX_MESSAGE_LENGTH = 500


class FailureTruncationInterceptor(Interceptor):
    """Replace an activity's exception by its type and the first line of its message.

    A database driver's exception has a chain of causes with stack traces. It can exceed the
    server's size limit, and the failure is then lost. The whole exception is in this process's log.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Wrap every activity."""
        return _FailureTruncator(next)


class _FailureTruncator(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's signature
        try:
            return await super().execute_activity(input)
        except FailureError as error:
            activity.logger.warning("activity failed", extra={"error": str(error)})
            raise
        except Exception as error:  # noqa: BLE001 - logged, shortened and raised again
            activity.logger.warning("activity failed", exc_info=True)
            error_type = type(error).__name__
            raise ApplicationError(_first_line(error) or error_type, type=error_type) from None


def suppress_sdk_failure_log() -> None:
    """Drop the SDK's own log line about a failed activity: ours has the stack trace too."""
    logging.getLogger("temporalio.activity").addFilter(_is_not_sdk_failure_line)


def _is_not_sdk_failure_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Completing activity as failed")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:_MAX_MESSAGE_LENGTH]
