"""A release is frozen by reference, and found by its version."""

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text

from fuze_testing.releases import describe_owners, describe_schema, find_last_release, freeze

_HISTORY = "services/order/tests/histories/shipped.json"
_OPENAPI = {"paths": {}, "info": {"title": "Fuze", "description": "prose"}}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one recorded history."""
    history = tmp_path / _HISTORY
    history.parent.mkdir(parents=True)
    history.write_text("{}")
    return tmp_path


def test_before_the_first_release_there_is_none(repository: Path) -> None:
    assert find_last_release(repository) is None
    assert describe_owners([repository / _HISTORY], repository) == "no release has these files"


def test_the_last_release_is_the_one_with_the_highest_version(repository: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        freeze(version, _OPENAPI, repository)

    assert str(find_last_release(repository)) == "release 0.10.0"


def test_a_frozen_file_that_is_changed_or_removed_is_found(repository: Path) -> None:
    release = freeze("0.1.0", _OPENAPI, repository)
    assert release.find_changed_files(repository) == []

    (repository / _HISTORY).write_text("[]")
    assert release.find_changed_files(repository) == [_HISTORY]

    (repository / _HISTORY).unlink()
    assert release.find_changed_files(repository) == [_HISTORY]


def test_the_release_that_has_a_file_is_named(repository: Path) -> None:
    freeze("0.1.0", _OPENAPI, repository)

    owners = describe_owners([repository / _HISTORY, repository / "new.json"], repository)

    assert owners == f"release 0.1.0 has: {_HISTORY}"


def test_the_prose_of_the_api_is_not_frozen(repository: Path) -> None:
    properties = {"properties": {"description": {"type": "string", "description": "prose"}}}

    release = freeze("0.1.0", {"info": {"description": "prose"}, **properties}, repository)

    assert release.openapi == {"info": {}, "properties": {"description": {"type": "string"}}}


def test_an_insert_requires_a_column_without_a_default() -> None:
    metadata = MetaData(schema="orders")
    columns = [
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("note", Text),
        Column("count", Integer, nullable=False, server_default="0"),
    ]
    Table("orders", metadata, *columns)

    assert describe_schema([metadata])["orders.orders"] == {
        "id": {"type": "INTEGER", "required": True},
        "note": {"type": "TEXT", "required": False},
        "count": {"type": "INTEGER", "required": False},
    }
