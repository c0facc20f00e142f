"""Calls to PostgreSQL and Temporal, bounded in time, with one exception when they fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
import structlog
from temporalio.client import RPCTimeoutOrCancelledError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.base import WORKFLOW_BUSY
from fuze_runtime.database import log_if_pooled_by_transaction
from fuze_runtime.payload_encryption import UndecryptablePayloadError

Result = TypeVar("Result")

Upstream = Literal["temporal", "database", "identity provider"]

CONNECTION_ERRORS = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises when a connection is lost, or after the server announced its shutdown."""

_MAX_COMMANDS_IN_FLIGHT = 2
_BUSY_RETRY_SECONDS = 0.05
_TIMEOUT_CODES = frozenset({RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})

_log = structlog.get_logger(__name__)


class WorkflowSlots:
    """How many commands this gateway sends to one workflow at once: two.

    Temporal allows ten updates in flight to one workflow. It refuses the next one, and forgets the
    ten that it has: all of them have to be sent again. Five gateways stay below.
    """

    def __init__(self) -> None:
        self._slots: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, subject: UUID) -> asyncio.Semaphore:
        """Return what limits the commands to the workflow of an order or a return.

        The time in this queue is no time of Temporal: enter it outside `temporal_timeout`.
        """
        return self._slots.setdefault(subject, asyncio.Semaphore(_MAX_COMMANDS_IN_FLIGHT))


class UpstreamUnavailableError(Exception):
    """An upstream failed or did not answer in time. Retrying the request may succeed."""

    def __init__(self, upstream: Upstream, *, timed_out: bool) -> None:
        super().__init__(f"{upstream} {'timed out' if timed_out else 'is unavailable'}")
        self.upstream: Upstream = upstream
        self.timed_out = timed_out


@asynccontextmanager
async def database_timeout(limit: timedelta) -> AsyncIterator[None]:
    """Bound the PostgreSQL calls of the block.

    Raises:
        UpstreamUnavailableError: timeout, no connection, or a failed statement. A view that does
            not exist yet, because a deployment is still migrating, is one of these too.

    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise _unavailable("database", error, timed_out=True) from error
    except asyncpg.PostgresError as error:
        log_if_pooled_by_transaction(error)
        timed_out = isinstance(error, asyncpg.QueryCanceledError)
        raise _unavailable("database", error, timed_out=timed_out) from error
    except CONNECTION_ERRORS as error:
        # A value that cannot be encoded is our own defect; a certificate's error is both of these.
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            raise
        raise _unavailable("database", error) from error


@asynccontextmanager
async def temporal_timeout(limit: timedelta) -> AsyncIterator[None]:
    """Bound the Temporal calls of the block.

    Pass `rpc_timeout` to each call as well: the SDK retries an unavailable server by itself.

    Raises:
        UpstreamUnavailableError: timeout, no connection, a server error, or a response that is
            encrypted with a key that this gateway does not have.
        RPCError: the server answered NOT_FOUND, which the caller must interpret.

    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (TimeoutError, RPCTimeoutOrCancelledError) as error:
        # The SDK replaces the cancellation by which asyncio.timeout ends a call with its own error.
        raise _unavailable("temporal", error, timed_out=True) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise
        timed_out = error.status in _TIMEOUT_CODES
        raise _unavailable("temporal", error, timed_out=timed_out) from error
    except (RuntimeError, UndecryptablePayloadError) as error:
        # A lazy client raises the first when its first connection fails.
        raise _unavailable("temporal", error) from error


async def update_when_idle(update: Callable[[], Awaitable[Result]]) -> Result:
    """Return the outcome of an update; send it again while its workflow runs a short step.

    Use it in `temporal_timeout`, which bounds it.

    Raises:
        WorkflowUpdateFailedError: the workflow rejected the update for another reason.

    """
    while True:
        try:
            return await update()
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if not isinstance(cause, ApplicationError) or cause.type != WORKFLOW_BUSY:
                raise
        await asyncio.sleep(_BUSY_RETRY_SECONDS)


async def start_once(start: Awaitable[object], limit: timedelta) -> bool:
    """Await the start of a workflow; return False if its id was used before.

    Raises:
        UpstreamUnavailableError: Temporal failed or did not answer in time. The workflow may have
            started; a retry with the same id is safe.

    """
    try:
        async with temporal_timeout(limit):
            await start
    except WorkflowAlreadyStartedError:
        return False
    except RPCError as error:  # NOT_FOUND: the namespace does not exist
        raise UpstreamUnavailableError("temporal", timed_out=False) from error
    return True


def _unavailable(
    upstream: Upstream, error: Exception, *, timed_out: bool = False
) -> UpstreamUnavailableError:
    _log.warning("upstream unavailable", upstream=upstream, timed_out=timed_out, error=repr(error))
    return UpstreamUnavailableError(upstream, timed_out=timed_out)
