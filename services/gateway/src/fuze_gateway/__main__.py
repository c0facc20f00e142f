"""The gateway process: settings, telemetry, server. `python -m fuze_gateway`."""

import os
import signal

import uvicorn

from fuze_contracts.order import describe_workflow
from fuze_gateway.app import create_app
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import process, telemetry


def main() -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish."""
    settings = process.load(GatewaySettings)
    telemetry.configure(
        settings, service="gateway", environment=os.environ, describe_workflow=describe_workflow
    )
    # uvicorn drains on these and then raises them again for us, when there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain_timeout.total_seconds()),
    )
    try:
        uvicorn.Server(config).run()
    finally:
        telemetry.shut_down()


if __name__ == "__main__":
    main()
