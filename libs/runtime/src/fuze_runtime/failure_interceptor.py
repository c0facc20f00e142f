"""What Temporal stores of a failed activity: our own errors, and the type of any other."""

import logging
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class UnexpectedErrorInterceptor(Interceptor):
    """Replace an activity's unexpected exception by its type.

    Callers of the API can read what Temporal stores, and a driver's message may have an address,
    SQL or personal data. With its causes and stack traces it can also exceed the server's size
    limit, and the failure is then lost. The whole exception is in this process's log.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Wrap every activity."""
        return _ErrorReplacer(next)


class _ErrorReplacer(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's signature
        try:
            return await super().execute_activity(input)
        except FailureError as error:
            activity.logger.warning("activity failed", extra={"error": str(error)})
            raise
        except Exception as error:  # noqa: BLE001 - logged, replaced and raised again
            activity.logger.warning("activity failed", exc_info=True)
            raise ApplicationError(
                "unexpected error; the log of the worker has it", type=type(error).__name__
            ) from None


def suppress_sdk_failure_log() -> None:
    """Drop the SDK's own log line about a failed activity: ours has the stack trace too."""
    logging.getLogger("temporalio.activity").addFilter(_is_not_sdk_failure_line)


def _is_not_sdk_failure_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Completing activity as failed")
