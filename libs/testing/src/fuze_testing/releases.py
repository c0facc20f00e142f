"""The last release, as `make release` froze it in `releases/<version>/`.

`SHA256SUMS` lists the files that never change after the release: recorded histories, golden files
and migrations. They stay where they are, and later ones are added beside them. `schema.json` has
the tables that the release reads and writes, `openapi.json` its API.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData
from sqlalchemy.dialects import postgresql

from fuze_devstack.services import MIGRATED_SERVICES

ROOT = Path(__file__).parents[4]
"""The repository."""

_FROZEN = (
    "libs/contracts/tests/golden/*.json",
    "services/*/tests/histories/*.json",
    "services/*/src/*/migrations/versions/*.py",
)
_UNUSED = {"description", "example", "examples", "summary"}
"""Parts of an OpenAPI document that no client depends on."""

Schema = dict[str, dict[str, dict[str, Any]]]
"""Columns by name, by table, as `schema.table`: `type`, and whether an insert `requires` it."""


@dataclass(frozen=True)
class Release:
    """A release by its folder, which has its version as its name."""

    folder: Path

    def __str__(self) -> str:
        return f"release {self.version}"

    @property
    def version(self) -> str:
        """The version, such as `0.1.0`."""
        return self.folder.name

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each frozen file, by its path in the repository."""
        lines = (self.folder / "SHA256SUMS").read_text().splitlines()
        return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}

    @property
    def schema(self) -> Schema:
        """The tables that its code uses."""
        return dict(json.loads((self.folder / "schema.json").read_text()))

    @property
    def openapi(self) -> dict[str, Any]:
        """Its API."""
        return dict(json.loads((self.folder / "openapi.json").read_text()))

    def find_changed_files(self, root: Path = ROOT) -> list[str]:
        """Return the frozen files that were changed or removed."""
        return [
            path
            for path, digest in self.digests.items()
            if not (root / path).exists() or _digest(root / path) != digest
        ]


def find_last_release(root: Path = ROOT) -> Release | None:
    """Return the release with the highest version, or None before the first."""
    folders = [path.parent for path in root.glob("releases/*/SHA256SUMS")]
    last = max(folders, key=lambda folder: parse_version(folder.name), default=None)
    return Release(last) if last else None


def parse_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a version."""
    return tuple(int(number) for number in version.split("."))


def describe_owners(files: Iterable[Path], root: Path = ROOT) -> str:
    """Say which of these files the last release has frozen: a line for the message of a test."""
    last = find_last_release(root)
    frozen = [
        path
        for path in (str(file.relative_to(root)) for file in files)
        if last and path in last.digests
    ]
    return f"{last} has: {', '.join(frozen)}" if frozen else "no release has these files"


def freeze(version: str, openapi: dict[str, Any], root: Path = ROOT) -> Release:
    """Write the folder of a release from what the repository has now."""
    folder = root / "releases" / version
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path for pattern in _FROZEN for path in root.glob(pattern))
    sums = [f"{_digest(path)}  {path.relative_to(root)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    metadata = [import_module(f"{one.package}.tables").metadata for one in MIGRATED_SERVICES]
    _write(folder / "schema.json", describe_schema(metadata))
    _write(folder / "openapi.json", _without_prose(openapi), indent=None)
    return Release(folder)


def describe_schema(services: Iterable[MetaData]) -> Schema:
    """Return what the code of the services says about their tables."""
    return {
        table.fullname: {column.name: _describe_column(column) for column in table.columns}
        for metadata in services
        for table in metadata.sorted_tables
    }


def _describe_column(column: Column[Any]) -> dict[str, Any]:
    is_filled = column.nullable or column.server_default or column.identity or column.computed
    return {
        "type": column.type.compile(postgresql.dialect()),  # type: ignore[no-untyped-call] # of SQLAlchemy
        "required": not is_filled,
    }


def _without_prose(part: Any, *, is_properties: bool = False) -> Any:  # noqa: ANN401 - as JSON
    if isinstance(part, list):
        return [_without_prose(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _without_prose(one, is_properties=name == "properties" and not is_properties)
        for name, one in part.items()
        if is_properties or name not in _UNUSED  # a property may have such a name
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, content: dict[str, Any], indent: int | None = 1) -> None:
    path.write_text(json.dumps(content, indent=indent, sort_keys=True) + "\n")


if __name__ == "__main__":  # make release
    # By name, as no library imports a service.
    documents = import_module("fuze_gateway.openapi_export").build_documents()
    freeze(sys.argv[1], json.loads(documents["openapi.json"]))
