"""Run the sandbox: `python -m fuze_devstack.sandbox`."""

import os
from pathlib import Path

import uvicorn

from fuze_devstack.sandbox.app import create_app
from fuze_devstack.sandbox.books import Books
from fuze_devstack.sandbox.webhooks import WebhookTarget


def main() -> None:
    """Serve until SIGTERM, from `FUZE_SANDBOX_HOST`, `_PORT`, `_DIR` and `_WEBHOOK_URL`."""
    books = Books(Path(os.environ.get("FUZE_SANDBOX_DIR", ".fuze/sandbox")))
    try:
        uvicorn.run(
            create_app(books, _target()),
            host=os.environ.get("FUZE_SANDBOX_HOST", "127.0.0.1"),
            port=int(os.environ.get("FUZE_SANDBOX_PORT", "8090")),
            access_log=False,
        )
    finally:
        books.close()


def _target() -> WebhookTarget | None:
    url = os.environ.get("FUZE_SANDBOX_WEBHOOK_URL")
    secret = os.environ.get("FUZE_PSP_WEBHOOK_SECRET")
    return WebhookTarget(url, secret) if url and secret else None


if __name__ == "__main__":
    main()
