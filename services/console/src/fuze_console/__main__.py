"""The console's command line: serve. `python -m fuze_console --help`."""

import argparse
import os

from fuze_console.app import create_app
from fuze_console.settings import ConsoleSettings
from fuze_runtime import cli, http_server, telemetry
from fuze_runtime.build_info import describe_build
from fuze_runtime.known_variables import warn_of_unknown_variables


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
    app = create_app(settings)

    def end_streams() -> None:
        app.state.services.is_stopping.set()

    try:
        http_server.serve(app, settings, end_streams=end_streams)
    finally:
        telemetry.shut_down()


if __name__ == "__main__":
    main()
