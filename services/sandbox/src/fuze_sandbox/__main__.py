"""Run the sandbox: `python -m fuze_sandbox`."""

import os
from pathlib import Path
from typing import Literal

import uvicorn

from fuze_sandbox.app import create_app
from fuze_sandbox.store import SandboxStore
from fuze_sandbox.webhooks import WebhookEndpoint


def main() -> None:
    """Serve until SIGTERM, configured by `FUZE_SANDBOX_…` and the webhooks' secrets."""
    store = SandboxStore(Path(os.environ.get("FUZE_SANDBOX_DIR", ".fuze/sandbox")))
    try:
        uvicorn.run(
            create_app(store, _webhook_endpoint("PSP"), _webhook_endpoint("CARRIER")),
            host=os.environ.get("FUZE_SANDBOX_HOST", "127.0.0.1"),
            port=int(os.environ.get("FUZE_SANDBOX_PORT", "8090")),
            access_log=False,
            timeout_keep_alive=75,  # longer than clients: else both close at the same time
        )
    finally:
        store.close()


def _webhook_endpoint(part: Literal["PSP", "CARRIER"]) -> WebhookEndpoint | None:
    url = os.environ.get(f"FUZE_SANDBOX_{part}_WEBHOOK_URL")
    secret = os.environ.get(f"FUZE_{part}_WEBHOOK_SECRET")
    header = "PSP-Signature" if part == "PSP" else "Carrier-Signature"
    return WebhookEndpoint(url, secret, header) if url and secret else None


if __name__ == "__main__":
    main()
