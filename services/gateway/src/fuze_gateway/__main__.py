"""The gateway's command line: serve, migrate, make API keys. `python -m fuze_gateway --help`."""

import argparse
import asyncio
import gc
import os
import resource
import signal
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_gateway import describing, key_commands
from fuze_gateway.app import create_app
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import cli, telemetry
from fuze_runtime.settings import ProcessSettings


class _Server(uvicorn.Server):
    """Ends the event streams before it drains: they would go on for as long as their orders."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, hang up on who listens, and let the rest finish."""
        self._app.state.sources.feed.hang_up()
        await super().shutdown(sockets)


def main() -> None:
    """Do what the command line says; without a command, serve."""
    parser = argparse.ArgumentParser(
        prog="python -m fuze_gateway",
        description="The gateway, set by FUZE_* and TEMPORAL_* variables.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="serve until SIGTERM (the default)")
    cli.add_schema_commands(commands)
    key_commands.add(commands)
    describe = commands.add_parser("describe", help="write the API's description and its problems")
    describe.add_argument("folder", type=Path)
    arguments = parser.parse_args()

    telemetry.configure(
        cli.load_settings(ProcessSettings),
        service="gateway",
        environment=os.environ,
        workflow_log_fields=workflow_log_fields,
    )
    try:
        if cli.handle_schema_command(arguments, "fuze_gateway"):
            return
        match arguments.command:
            case "keys":
                asyncio.run(key_commands.run(arguments))
            case "describe":
                describing.write(arguments.folder)
            case _:
                _serve(cli.load_settings(GatewaySettings))
    finally:
        telemetry.shut_down()


def _serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish."""
    # uvicorn drains on these and then raises them again for us, when there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    _take_all_files()
    app = create_app(settings)
    gc.freeze()  # what was made until now stays: looking through it costs every request a little
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_timeout.total_seconds()),
    )
    _Server(config, app).run()


def _take_all_files() -> None:
    """Let as many callers be connected as the system allows; each is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
