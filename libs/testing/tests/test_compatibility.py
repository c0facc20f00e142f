"""Which changes break the release before."""

from copy import deepcopy
from typing import Any

import pytest

from fuze_testing.compatibility import find_api_breaks, find_schema_breaks

_TEXT = {"type": "TEXT", "required": False}
_TABLES = {"orders.orders": {"id": {"type": "UUID", "required": True}, "note": _TEXT}}

_ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "status": {"$ref": "#/components/schemas/Status"},
        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}
_API: dict[str, Any] = {
    "paths": {
        "/orders": {
            "post": {
                "parameters": [{"in": "query", "name": "dry", "schema": {"type": "boolean"}}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Place"}}
                    }
                },
                "responses": {
                    "201": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                        }
                    }
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Place": deepcopy(_ORDER),
            "Order": _ORDER,
            "Status": {"type": "string", "enum": ["open", "closed"]},
            "Line": {"type": "object", "properties": {"sku": {"type": "string"}}},
        }
    },
}


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (None, "table orders.orders is gone"),
        ({"note": None}, "column orders.orders.note is gone"),
        (
            {"note": {"type": "UUID", "required": False}},
            "column orders.orders.note was TEXT and is UUID",
        ),
        ({"note": _TEXT | {"required": True}}, "column orders.orders.note is now required"),
        (
            {"new": _TEXT | {"required": True}},
            "new column orders.orders.new has neither NULL nor a default",
        ),
    ],
)
def test_a_schema_that_breaks_statements_of_the_release_is_found(
    columns: dict[str, Any] | None, problem: str
) -> None:
    changed = _TABLES["orders.orders"] | (columns or {})
    now = {name: column for name, column in changed.items() if column}

    breaks = find_schema_breaks(_TABLES, {"orders.orders": now} if columns else {})

    assert list(breaks) == [problem]


def test_a_schema_with_new_tables_and_columns_breaks_nothing() -> None:
    now = {"orders.orders": _TABLES["orders.orders"] | {"new": _TEXT}, "orders.new": {}}

    assert list(find_schema_breaks(_TABLES, now)) == []


def _set(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON
    """Return the API with another value at a path; without one, what was there is gone."""
    changed = deepcopy(_API)
    part: Any = changed
    *parents, last = (int(one) if one.isdigit() else one for one in path.split(" "))
    for name in parents:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return changed


_SCHEMAS = "components schemas"
_POST = "paths /orders post"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (_POST, None, "POST /orders is gone"),
        (f"{_POST} parameters", [], "POST /orders query parameter dry is gone"),
        (
            f"{_POST} parameters 0 required",
            True,
            "POST /orders query parameter dry is now required",
        ),
        (f"{_POST} requestBody required", True, "POST /orders requires a body"),
        (
            f"{_POST} responses",
            {"202": {}},
            "POST /orders no longer answers 201",
        ),
        (f"{_SCHEMAS} Place properties id", None, "Place has no field id any more"),
        (f"{_SCHEMAS} Place required", ["id", "status"], "Place requires status"),
        (
            f"{_SCHEMAS} Place properties note",
            {"type": "string"},
            "Place.note no longer accepts null",
        ),
        (f"{_SCHEMAS} Order properties id", None, "Order has no field id any more"),
        (f"{_SCHEMAS} Order required", [], "Order may lack id"),
        (
            f"{_SCHEMAS} Order properties id",
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "Order.id may now be null",
        ),
        (
            f"{_SCHEMAS} Order properties note",
            {"type": "object"},
            "Order.note was null, string and is object",
        ),
        (f"{_SCHEMAS} Status enum", ["open"], "Status has no value closed any more"),
        (f"{_SCHEMAS} Line properties", {}, "Line has no field sku any more"),
    ],
)
def test_an_api_that_breaks_a_client_is_found(path: str, value: Any, problem: str) -> None:  # noqa: ANN401 - as JSON
    assert problem in list(find_api_breaks(_API, _set(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paths /payments", {"get": {}}),
        (f"{_POST} parameters 0 schema anyOf", [{"type": "boolean"}, {"type": "string"}]),
        (f"{_SCHEMAS} Place properties new", {"type": "string"}),
        (f"{_SCHEMAS} Order properties new", {"type": "string"}),
        (f"{_SCHEMAS} Order required", ["id", "status"]),
        (f"{_SCHEMAS} Status enum", ["open", "closed", "new"]),
        (f"{_SCHEMAS} Order title", "AnotherName"),
    ],
)
def test_an_addition_to_the_api_breaks_nothing(path: str, value: Any) -> None:  # noqa: ANN401 - as JSON
    assert list(find_api_breaks(_API, _set(path, value))) == []
