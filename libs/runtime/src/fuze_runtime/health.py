"""The liveness and readiness endpoints of a worker."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Generic, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fuze_runtime.build_info import get_build_info

Check = Callable[[], Awaitable[str | None]]
"""Returns None when the check passes, and the problem when it fails."""

TEMPORAL_CHECK_AGE = timedelta(seconds=2)
DATABASE_CHECK_AGE = timedelta(seconds=30)
_MAX_PROBLEM_AGE_SECONDS = 0.25

Problem = TypeVar("Problem")


class CachedCheck(Generic[Problem]):
    """A check that runs once for all probes of `max_age`; a problem is looked at again soon.

    It runs only when a probe requests it. The check itself has to be bounded in time.
    """

    def __init__(self, check: Callable[[], Awaitable[Problem | None]], max_age: timedelta) -> None:
        self._check = check
        self._max_age = max_age.total_seconds()
        self._problem: Problem | None = None
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    async def __call__(self) -> Problem | None:
        """Return the problem, or None."""
        async with self._lock:
            if time.monotonic() >= self._expires_at:
                self._problem = await self._check()
                age = _MAX_PROBLEM_AGE_SECONDS if self._problem else self._max_age
                self._expires_at = time.monotonic() + age
            return self._problem


@contextlib.asynccontextmanager
async def serve(host: str, port: int, checks: dict[str, Check]) -> AsyncIterator[None]:
    """Serve `/livez` and `/readyz` while the block runs.

    `/livez` returns 200 and the build while the event loop runs. `/readyz` returns 200 when every
    check passes, and otherwise 503 with the problem of each check that failed.

    Raises:
        OSError: the port is in use.

    """

    async def livez(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"} | get_build_info())

    async def readyz(_: Request) -> JSONResponse:
        results = await asyncio.gather(*(check() for check in checks.values()))
        problems = {name: problem for name, problem in zip(checks, results, strict=True) if problem}
        if problems:
            return JSONResponse({"status": "not ready", "problems": problems}, status_code=503)
        return JSONResponse({"status": "ready"})

    app = Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz)])
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        date_header=False,  # it would be that of the start
    )
    server = _Server(config)
    listener = config.bind_socket()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.stop()
        await serving
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the worker decides when the process exits."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Let `serve` return after the requests that are running."""
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Wait for `stop`; uvicorn wakes ten times a second to look for it."""
        await self.on_tick(0)
        await self._stopped.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT to the worker."""
        yield
