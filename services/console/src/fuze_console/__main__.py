"""The console's command line: serve. `python -m fuze_console --help`."""

import argparse
import os
import signal
import socket

import uvicorn
from fastapi import FastAPI

from fuze_console.app import create_app
from fuze_console.settings import ConsoleSettings
from fuze_runtime import cli, telemetry
from fuze_runtime.build_info import describe_build
from fuze_runtime.known_variables import warn_of_unknown_variables

_KEEP_ALIVE_SECONDS = 75


class _Server(uvicorn.Server):
    """Ends the streams of open pages before the graceful shutdown, which would wait for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, and wait for the other requests."""
        self._app.state.services.is_stopping.set()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until SIGTERM or SIGINT, then wait for running requests."""
    parser = argparse.ArgumentParser(
        prog="python -m fuze_console",
        description="The operator's console. Configured by FUZE_* variables.",
    )
    parser.add_argument("--version", action="version", version=describe_build("fuze_console"))
    parser.add_argument("command", nargs="?", choices=["serve"], help="the default")
    parser.parse_args()
    settings = cli.load_settings(ConsoleSettings)
    telemetry.configure(settings, "console", environment=os.environ)
    warn_of_unknown_variables(os.environ)
    # After its graceful shutdown uvicorn raises the signal again, which would kill the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.shutdown_timeout.total_seconds()),
    )
    try:
        _Server(config, app).run()
    finally:
        telemetry.shut_down()


if __name__ == "__main__":
    main()
