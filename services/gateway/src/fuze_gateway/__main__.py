"""The gateway's command line: serve, migrate, manage API keys. `python -m fuze_gateway --help`."""

import argparse
import asyncio
import gc
import os
import resource
from pathlib import Path

import structlog

from fuze_contracts.search_attributes import SEARCH_ATTRIBUTES
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_gateway import openapi_export
from fuze_gateway.api_keys import cli as api_keys_cli
from fuze_gateway.app import create_app
from fuze_gateway.http_protocol import ConnectionLimits, limit_connections
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.tables import DATABASE_ACCESS
from fuze_runtime import cli, http_server, telemetry
from fuze_runtime.build_info import describe_build
from fuze_runtime.known_variables import warn_of_unknown_variables
from fuze_runtime.service import Service
from fuze_runtime.settings import ProcessSettings

SERVICE = Service(
    name="gateway",
    settings_type=GatewaySettings,
    access=DATABASE_ACCESS,
    get_search_attributes=lambda settings: SEARCH_ATTRIBUTES if settings.search_attributes else (),
)

_RESERVED_FILES = 64
"""Open files beside the connections of clients: PostgreSQL, Temporal, Redis, logs."""

_log = structlog.get_logger(__name__)


def main() -> None:
    """Run the command; without one, serve."""
    parser = argparse.ArgumentParser(
        prog="python -m fuze_gateway",
        description="The gateway. Configured by FUZE_* and TEMPORAL_* variables.",
        epilog=cli.FIRST_START,
    )
    parser.add_argument("--version", action="version", version=describe_build("fuze_gateway"))
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="serve until SIGTERM (the default)")
    cli.add_setup_commands(commands)
    api_keys_cli.add_commands(commands)
    export = commands.add_parser(
        "export-openapi", help="write openapi.json and problems.md into a directory"
    )
    export.add_argument("directory", type=Path)
    arguments = parser.parse_args()

    telemetry.configure(
        cli.load_settings(ProcessSettings),
        service="gateway",
        environment=os.environ,
        workflow_log_fields=workflow_log_fields,
        has_output=arguments.command not in {None, "serve"},
    )
    warn_of_unknown_variables(os.environ)
    with cli.end_process():
        if cli.handle_setup_command(arguments, SERVICE):
            return
        match arguments.command:
            case "api-keys":
                asyncio.run(api_keys_cli.run(arguments))
            case "export-openapi":
                openapi_export.write_documents(arguments.directory)
            case _:
                _serve(cli.load_settings(GatewaySettings))


def _serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT, then wait for running requests."""
    max_connections = _limit_connections(settings)
    # Streams must not leave the other requests without connections.
    max_streams = min(settings.max_streams, max_connections // 2)
    app = create_app(settings.model_copy(update={"max_streams": max_streams}))
    gc.freeze()  # exclude the application itself from garbage collection
    limits = ConnectionLimits(
        max_connections=max_connections,
        max_head_bytes=settings.max_header_bytes,
        timeout=settings.connection_timeout,
    )

    def end_streams() -> None:
        app.state.services.broadcaster.close_all()

    protocol = limit_connections(limits)
    http_server.serve(app, settings, end_streams=end_streams, protocol=protocol)


def _limit_connections(settings: GatewaySettings) -> int:
    """Return the limit of connections, after raising the limit of open files to its maximum."""
    _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    possible = max_files - _RESERVED_FILES - settings.database_pool_size
    if max_files != resource.RLIM_INFINITY and possible < settings.max_connections:
        _log.warning("fewer connections than configured", limit=possible, open_files=max_files)
        return max(possible, 1)
    return settings.max_connections


if __name__ == "__main__":
    main()
