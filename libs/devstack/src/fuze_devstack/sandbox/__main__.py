"""Run the sandbox: `python -m fuze_devstack.sandbox`."""

import os
from pathlib import Path

import uvicorn

from fuze_devstack.sandbox.app import create_app
from fuze_devstack.sandbox.books import Books


def main() -> None:
    """Serve until SIGTERM, from `FUZE_SANDBOX_HOST`, `_PORT` and `_DIR`."""
    books = Books(Path(os.environ.get("FUZE_SANDBOX_DIR", ".fuze/sandbox")))
    try:
        uvicorn.run(
            create_app(books),
            host=os.environ.get("FUZE_SANDBOX_HOST", "127.0.0.1"),
            port=int(os.environ.get("FUZE_SANDBOX_PORT", "8090")),
            access_log=False,
        )
    finally:
        books.close()


if __name__ == "__main__":
    main()
