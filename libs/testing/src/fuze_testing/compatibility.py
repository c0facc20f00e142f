"""What a change takes from those who still use the release before it.

During an upgrade the release runs on the new schema, and its clients send to the new API. Each
difference that breaks them is one sentence.
"""

from collections.abc import Iterator
from typing import Any, Literal

from fuze_testing.releases import Schema

Direction = Literal["request", "response"]
Document = dict[str, Any]

_METHODS = {"get", "put", "post", "delete", "patch"}


def find_schema_breaks(before: Schema, now: Schema) -> Iterator[str]:
    """Yield what makes statements of the release fail on the tables of today."""
    for table, columns in before.items():
        if table not in now:
            yield f"table {table} is gone"
            continue
        for name, column in columns.items():
            found = now[table].get(name)
            if found is None:
                yield f"column {table}.{name} is gone"
            elif found["type"] != column["type"]:
                yield f"column {table}.{name} was {column['type']} and is {found['type']}"
            elif found["required"] and not column["required"]:
                yield f"column {table}.{name} is now required"
        for name in now[table].keys() - columns.keys():
            if now[table][name]["required"]:
                yield f"new column {table}.{name} has neither NULL nor a default"


def find_api_breaks(before: Document, now: Document) -> Iterator[str]:
    """Yield what breaks a client that was written for the API of the release.

    Additions do not: clients ignore fields, and values of an enumeration, that they do not know.
    """
    comparison = _ApiComparison(before, now)
    for path, operations in before["paths"].items():
        for method in operations.keys() & _METHODS:
            where = f"{method.upper()} {path}"
            operation = now["paths"].get(path, {}).get(method)
            if operation is None:
                yield f"{where} is gone"
            else:
                yield from comparison.compare(where, operations[method], operation)


class _ApiComparison:
    """Compares operations of two documents. A schema is reported where it is found first."""

    def __init__(self, before: Document, now: Document) -> None:
        self._before = before
        self._now = now
        self._seen: set[tuple[str, Direction]] = set()

    def compare(self, where: str, before: Document, now: Document) -> Iterator[str]:
        """Yield the breaks of one operation."""
        yield from self._compare_parameters(where, before, now)
        old, new = (one.get("requestBody", {}) for one in (before, now))
        if new.get("required") and not old.get("required"):
            yield f"{where} requires a body"
        yield from self._compare_content(f"{where} request", old, new, "request")
        for status, response in before["responses"].items():
            if not status.startswith("2"):
                continue  # errors are problems of registered types
            if status not in now["responses"]:
                yield f"{where} no longer answers {status}"
                continue
            found = now["responses"][status]
            yield from self._compare_content(f"{where} {status}", response, found, "response")

    def _compare_parameters(self, where: str, before: Document, now: Document) -> Iterator[str]:
        old, new = (
            {(one["in"], one["name"]): one for one in operation.get("parameters", [])}
            for operation in (before, now)
        )
        for key, parameter in old.items():
            place = f"{where} {key[0]} parameter {key[1]}"
            if key not in new:
                yield f"{place} is gone"
            else:
                schemas = parameter["schema"], new[key]["schema"]
                yield from self._compare_schemas(place, *schemas, "request")
        for key, parameter in new.items():
            if parameter.get("required") and not old.get(key, {}).get("required"):
                yield f"{where} {key[0]} parameter {key[1]} is now required"

    def _compare_content(
        self, where: str, before: Document, now: Document, direction: Direction
    ) -> Iterator[str]:
        for kind, content in before.get("content", {}).items():
            found = now.get("content", {}).get(kind)
            if found is None:
                yield f"{where} has no {kind} any more"
            else:
                schemas = content.get("schema", {}), found.get("schema", {})
                yield from self._compare_schemas(where, *schemas, direction)

    def _compare_schemas(
        self, where: str, before: Document, now: Document, direction: Direction
    ) -> Iterator[str]:
        name = before.get("$ref", "")
        if name:
            if (name, direction) in self._seen:
                return
            self._seen.add((name, direction))
            where = name.rpartition("/")[2]
        old, new = self._variants(before, self._before), self._variants(now, self._now)
        for kind in old.keys() - new.keys() if direction == "request" else ():
            yield f"{where} no longer accepts {kind}"
        for kind in new.keys() - old.keys() if direction == "response" else ():
            yield f"{where} may now be {kind}"
        if not old.keys() & new.keys():
            yield f"{where} was {', '.join(sorted(old))} and is {', '.join(sorted(new))}"
        for kind in old.keys() & new.keys():
            yield from self._compare_types(where, old[kind], new[kind], direction)

    def _compare_types(
        self, where: str, before: Document, now: Document, direction: Direction
    ) -> Iterator[str]:
        for value in _values(before) - _values(now) if _values(now) else ():
            yield f"{where} has no value {value} any more"
        if "items" in before and "items" in now:
            yield from self._compare_schemas(f"{where}[]", before["items"], now["items"], direction)
        old, new = before.get("properties", {}), now.get("properties", {})
        for name in old.keys() - new.keys():
            yield f"{where} has no field {name} any more"
        for name in old.keys() & new.keys():
            yield from self._compare_schemas(f"{where}.{name}", old[name], new[name], direction)
        required = set(before.get("required", ())), set(now.get("required", ()))
        for name in required[1] - required[0] if direction == "request" else ():
            yield f"{where} requires {name}"
        for name in (required[0] - required[1]) & new.keys() if direction == "response" else ():
            yield f"{where} may lack {name}"

    @staticmethod
    def _variants(schema: Document, document: Document) -> dict[str, Document]:
        """Return the alternatives of a schema by their type; of several objects, by their title."""
        alternatives = list(_iterate_alternatives(schema, document))
        objects = [one for one in alternatives if one.get("type") == "object"]
        return {
            str(one.get("title" if len(objects) > 1 and one in objects else "type", "any")): one
            for one in alternatives
        }


def _iterate_alternatives(schema: Document, document: Document) -> Iterator[Document]:
    """Yield the schemas of which one applies, references resolved."""
    if ref := schema.get("$ref"):
        name = ref.removeprefix("#/components/schemas/")
        yield from _iterate_alternatives(document["components"]["schemas"][name], document)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for one in alternatives:
            yield from _iterate_alternatives(one, document)
    else:
        yield schema


def _values(schema: Document) -> set[str]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return {str(value) for value in values}
