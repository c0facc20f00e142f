"""How a process serves callers over HTTP, behind a proxy or not, until it is stopped."""

import asyncio
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

# Longer than clients and load balancers keep theirs: else both close one at the same time.
_KEEP_ALIVE_SECONDS = 75


class HttpSettings(Protocol):
    """The settings of a server."""

    @property
    def host(self) -> str:
        """The address to listen at."""

    @property
    def port(self) -> int:
        """The port to listen at."""

    @property
    def trusted_proxies(self) -> list[str]:
        """The addresses whose `X-Forwarded-For` is trusted."""

    @property
    def shutdown_timeout(self) -> timedelta:
        """How long running requests are waited for."""


class _Server(uvicorn.Server):
    """Ends streams before the graceful shutdown, which would wait for them."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting requests, end the streams, and wait for the other requests."""
        self._end_streams()
        await super().shutdown(sockets)


def serve(
    app: ASGIApp,
    settings: HttpSettings,
    *,
    end_streams: Callable[[], None],
    protocol: type[asyncio.Protocol] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then end the streams and wait for running requests."""
    # After its graceful shutdown uvicorn raises the signal again, which would kill the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol or "auto",
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.shutdown_timeout.total_seconds()),
    )
    _Server(config, end_streams).run()
