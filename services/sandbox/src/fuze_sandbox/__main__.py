"""Run the sandbox: `python -m fuze_sandbox`."""

import argparse
import json
import logging
import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import uvicorn

from fuze_sandbox.app import create_app
from fuze_sandbox.store import SandboxStore
from fuze_sandbox.webhooks import WebhookEndpoint


class _JsonFormatter(logging.Formatter):
    """Writes each record as one JSON object, with the fields that the other services have."""

    def __init__(self) -> None:
        super().__init__()
        self._fields = {
            "service": "sandbox",
            "version": version("fuze-sandbox"),
            "revision": os.environ.get("FUZE_REVISION", "unknown"),
        }

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **self._fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _configure_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs
    logging.captureWarnings(capture=True)


def main() -> None:
    """Serve until SIGTERM, configured by `FUZE_SANDBOX_…` and the webhooks' secrets."""
    parser = argparse.ArgumentParser(prog="python -m fuze_sandbox", description=__doc__)
    parser.add_argument("--version", action="version", version=_describe_build())
    parser.parse_args()
    _configure_logging()
    store = SandboxStore(Path(os.environ.get("FUZE_SANDBOX_DIR", ".fuze/sandbox")))
    try:
        uvicorn.run(
            create_app(store, _webhook_endpoint("PSP"), _webhook_endpoint("CARRIER")),
            host=os.environ.get("FUZE_SANDBOX_HOST", "127.0.0.1"),
            port=int(os.environ.get("FUZE_SANDBOX_PORT", "8090")),
            access_log=False,
            log_config=None,
            timeout_keep_alive=75,  # longer than clients: else both close at the same time
        )
    finally:
        store.close()


def _describe_build() -> str:
    revision = os.environ.get("FUZE_REVISION") or "unknown"
    return f"fuze_sandbox {version('fuze-sandbox')} (revision {revision})"


def _webhook_endpoint(part: Literal["PSP", "CARRIER"]) -> WebhookEndpoint | None:
    url = os.environ.get(f"FUZE_SANDBOX_{part}_WEBHOOK_URL")
    secret = os.environ.get(f"FUZE_{part}_WEBHOOK_SECRET")
    header = "PSP-Signature" if part == "PSP" else "Carrier-Signature"
    return WebhookEndpoint(url, secret, header) if url and secret else None


if __name__ == "__main__":
    main()
