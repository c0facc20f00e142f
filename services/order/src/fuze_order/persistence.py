"""A step of another service, carried out for as long as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from temporalio.exceptions import ActivityError

from fuze_contracts.order import StepFailure
from fuze_order.progress import OrderProgress, OvertakenError
from fuze_runtime.step_execution import is_schedule_to_close_timeout, last_attempt_error

Result = TypeVar("Result")


def _never() -> bool:
    return False


async def _nothing() -> None:
    return


async def persist(  # noqa: PLR0913 - each may happen while the step is under way
    progress: OrderProgress,
    step: Callable[[timedelta | None], Awaitable[Result]],
    *,
    name: str,
    patience: timedelta,
    unless: Callable[[], object] = _never,
    has_news: Callable[[], object] = _never,
    hear: Callable[[], Awaitable[object]] = _nothing,
) -> Result | None:
    """Return the step's outcome, or None where it was interrupted by `unless`.

    The step gets the patience after which it needs attention; from then on it gets None, which is
    patience without end. One that fails for good waits for somebody's retry. News are heard while
    it goes on. Nobody waits for the outcome of a step that was interrupted: it may be any.

    Raises:
        OvertakenError: what was heard, or called for attention, was.

    """
    this_time: timedelta | None = patience
    while True:
        attempt = asyncio.ensure_future(step(this_time))
        try:
            await _wait(progress, _any(attempt.done, unless, progress.is_to_retry), has_news, hear)
        except OvertakenError:
            await _let_go(attempt)
            raise
        if not attempt.done():
            interrupted = unless()
            await _let_go(attempt)
            if interrupted:
                return None
            await progress.retry()
            this_time = patience
            continue
        try:
            return attempt.result()
        except ActivityError as error:
            await progress.call_for_attention(
                StepFailure(step=name, last_error=last_attempt_error(error))
            )
            if not is_schedule_to_close_timeout(error):
                # It failed for good: only somebody who has mended the cause can go on.
                await _wait(progress, _any(unless, progress.is_to_retry), has_news, hear)
                if unless():
                    return None
                await progress.retry()
            this_time = None


async def _let_go(attempt: asyncio.Future[Result]) -> None:
    attempt.cancel()
    with suppress(ActivityError, asyncio.CancelledError):
        await attempt


async def _wait(
    progress: OrderProgress,
    condition: Callable[[], object],
    has_news: Callable[[], object],
    hear: Callable[[], Awaitable[object]],
) -> None:
    """Wait for a condition, hearing news meanwhile."""
    while True:
        await progress.wait(lambda: condition() or has_news())
        if condition():
            return
        await hear()


def _any(*conditions: Callable[[], object]) -> Callable[[], bool]:
    return lambda: any(condition() for condition in conditions)
