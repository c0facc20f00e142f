"""How a workflow executes the steps of its own service.

Imported by workflow code: nothing here may touch a clock, a socket or a library that does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, RetryState
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from fuze_runtime.step_gate import StepGate

Owner = TypeVar("Owner")
Argument = TypeVar("Argument")
Result = TypeVar("Result")

_LOCAL_ATTEMPTS = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=2)
# schedule_to_close_timeout does not limit a local activity's retries; maximum_attempts does. Those
# of two steps together stay below 8 s, after which the SDK extends the workflow task (ADR 3).
_LOCAL_ATTEMPT_TIMEOUT = timedelta(seconds=1.5)
_REMOTE_ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)
_REMOTE_ATTEMPT_TIMEOUT = timedelta(seconds=15)


async def execute_local_then_remote(
    step: Callable[[Owner, Argument], Awaitable[Result]],
    argument: Argument,
    *,
    gate: StepGate,
    summary: str,
    on_error: Callable[[str | None], None] = lambda _: None,
) -> Result:
    """Execute a short step: as a local activity, then, while that fails, as a remote one.

    A local activity costs a fifth of a remote one, but its retries occupy the workflow's worker. So
    a few quick local attempts come first, then a remote activity that the server retries without
    limit, and without growing the history. The gate is closed during the local attempts. `on_error`
    is called with the error when they have failed, and with None once the remote activity is over.

    Raises:
        ApplicationError: the step failed with a non-retryable error.

    """
    try:
        with gate.closed():
            return await workflow.execute_local_activity_method(
                step,
                argument,
                start_to_close_timeout=_LOCAL_ATTEMPT_TIMEOUT,
                retry_policy=_LOCAL_ATTEMPTS,
                summary=summary,
            )
    except (ApplicationError, ActivityError, ActivityTimeoutError) as error:
        # A local activity raises its ApplicationError unwrapped. Its timeout comes wrapped in an
        # ActivityError when it happens, but unwrapped when it is replayed from the history.
        failure = error.cause if isinstance(error, ActivityError) else error
        if isinstance(failure, ApplicationError) and failure.non_retryable:
            raise failure from error
        workflow.logger.warning("local attempts failed; the server retries", exc_info=error)
        on_error(str(failure))
    try:
        return await execute_remote(step, argument, summary=summary)
    finally:
        on_error(None)


async def execute_remote(
    step: Callable[[Owner, Argument], Awaitable[Result]], argument: Argument, *, summary: str
) -> Result:
    """Execute a short step as a remote activity, which the server retries without limit.

    It starts only once the workflow task that requests it is in the history.

    Raises:
        ApplicationError: the step failed with a non-retryable error.

    """
    try:
        return await workflow.execute_activity_method(
            step,
            argument,
            start_to_close_timeout=_REMOTE_ATTEMPT_TIMEOUT,
            retry_policy=_REMOTE_ATTEMPTS,
            summary=summary,
        )
    except ActivityError as error:
        if isinstance(error.cause, ApplicationError):
            raise error.cause from error
        raise


async def run_to_completion(step: Awaitable[Result], *, on_cancel: Callable[[], None]) -> Result:
    """Return a step's outcome even when the workflow is cancelled meanwhile.

    `on_cancel` is called for each cancellation. A step that was interrupted may or may not have
    committed; completed, its outcome is known, and the workflow can decide about the cancellation.
    """
    task = asyncio.ensure_future(step)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            on_cancel()


def is_schedule_to_close_timeout(error: ActivityError) -> bool:
    """Whether a remote activity failed because its schedule_to_close_timeout elapsed."""
    return error.retry_state is RetryState.TIMEOUT


def last_attempt_error(error: ActivityError) -> str | None:
    """Return the error of a remote activity's last attempt, where the server recorded it."""
    cause = error.cause
    if isinstance(cause, ActivityTimeoutError):
        cause = cause.cause
    return str(cause) if cause else None
