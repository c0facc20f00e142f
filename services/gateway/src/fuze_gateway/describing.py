"""The API as documents: what clients are generated from, and what its problems mean."""

import json
from pathlib import Path

from pydantic import PostgresDsn

from fuze_gateway.app import create_app
from fuze_gateway.documented import problems_page
from fuze_gateway.settings import GatewaySettings


def documents() -> dict[str, str]:
    """Return each document by its file's name."""
    # Nothing is connected to: a description is of the code alone.
    settings = GatewaySettings.model_construct(database_url=PostgresDsn("postgresql://nowhere/"))
    description = create_app(settings).openapi()
    return {
        "openapi.json": json.dumps(description, indent=2, ensure_ascii=False) + "\n",
        "problems.md": problems_page(),
    }


def write(folder: Path) -> None:
    """Write the documents into a folder."""
    for name, text in documents().items():
        (folder / name).write_text(text)
