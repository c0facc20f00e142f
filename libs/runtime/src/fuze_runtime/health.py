"""A worker's answer to "are you alive, are you ready?" over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else what is wrong."""


@contextlib.asynccontextmanager
async def serve(host: str, port: int, checks: dict[str, Check]) -> AsyncIterator[None]:
    """Answer `/livez` and `/readyz` while the block runs.

    `/livez` is 200 as long as the event loop turns. `/readyz` is 200 when every check passes,
    else 503 with what is wrong.

    Raises:
        OSError: the port is taken.

    """

    async def livez(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> JSONResponse:
        answers = await asyncio.gather(*(check() for check in checks.values()))
        problems = {name: wrong for name, wrong in zip(checks, answers, strict=True) if wrong}
        if problems:
            return JSONResponse({"status": "not ready", "problems": problems}, status_code=503)
        return JSONResponse({"status": "ready"})

    app = Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz)])
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, lifespan="off"
    )
    server = _Server(config)
    listener = config.bind_socket()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the worker decides when the process ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT to the worker."""
        yield
