"""When Temporal or PostgreSQL does not answer: one exception, within one bound of time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import asyncpg
import structlog
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

Source = Literal["temporal", "database", "identity provider"]

LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection raises that is gone, or whose server has said that it is going: the last."""

_log = structlog.get_logger(__name__)

_TIMED_OUT = frozenset({RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED})


class SourceUnavailableError(Exception):
    """Temporal or PostgreSQL did not answer, or not in time; asking again may help."""

    def __init__(self, source: Source, *, timed_out: bool) -> None:
        super().__init__(f"{source} {'timed out' if timed_out else 'is unavailable'}")
        self.source: Source = source
        self.timed_out = timed_out


@asynccontextmanager
async def database_within(limit: timedelta) -> AsyncIterator[None]:
    """Bound what the block asks of PostgreSQL.

    Raises:
        SourceUnavailableError: no answer in time, no connection, or a failed statement. A view
            that is not there yet, while a deployment migrates, is one of these too.

    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise unavailable("database", error, timed_out=True) from error
    except (asyncpg.PostgresError, *LOST) as error:
        raise unavailable("database", error) from error


@asynccontextmanager
async def temporal_within(limit: timedelta) -> AsyncIterator[None]:
    """Bound what the block asks of Temporal.

    Calls inside should also pass `rpc_timeout`: the SDK retries an unavailable server by itself.

    Raises:
        SourceUnavailableError: no answer in time, no connection, or an error of the server.
        RPCError: the server answered NOT_FOUND, which is an answer.

    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (TimeoutError, RPCTimeoutOrCancelledError) as error:
        # The SDK makes its own error of the cancellation by which our time limit ends a call.
        raise unavailable("temporal", error, timed_out=True) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise
        timed_out = error.status in _TIMED_OUT
        raise unavailable("temporal", error, timed_out=timed_out) from error
    except RuntimeError as error:
        # What a lazy client raises when its first connection fails.
        raise unavailable("temporal", error) from error


def unavailable(
    source: Source, error: Exception, *, timed_out: bool = False
) -> SourceUnavailableError:
    """Log why a source did not answer, and return what that is to a caller."""
    _log.warning("no answer", source=source, timed_out=timed_out, error=repr(error))
    return SourceUnavailableError(source, timed_out=timed_out)
