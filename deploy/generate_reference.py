"""Write the pages of docs/reference that the code determines: `make reference`.

`--check` writes nothing, and fails when one of them differs.
"""

import ast
import inspect
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules
from runpy import run_module
from typing import Any
from unittest.mock import patch

import click
import yaml
from generated import ROOT, render, write_or_check
from json_schemas import JsonSchema, describe_field, describe_schema, describe_type
from pydantic import TypeAdapter

import fuze_contracts
from fuze_client.cli.main import main as fuze
from fuze_contracts.event_details import DETAILS
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_devstack.services import SERVICES
from fuze_order.transitions import payment_status_after, status_after

_REFERENCE = ROOT / "docs/reference"
_RECORDS = ROOT / "docs/explanation/adr"
_LAST_PARAGRAPH = re.compile(r"\n\n  Exit codes:(?:(?!\n\n).)*\Z", re.DOTALL)
_WIDTH = 100
_METHODS = ("get", "post", "put", "patch", "delete")


def main() -> None:
    """Write the pages, or check them."""
    write_or_check(__doc__, render_pages, source="the code", target="reference")


def render_pages() -> dict[Path, str]:
    """Return the text of every page."""
    rules = yaml.safe_load((ROOT / "deploy/observability/rules.yml").read_text())
    pages: dict[Path, dict[str, Any]] = {
        _REFERENCE / "alerts.md": {
            "alerts": [one for group in rules["groups"] for one in group["rules"]]
        },
        _REFERENCE / "commands.md": {"commands": [*_list_commands(), *_list_service_commands()]},
        _REFERENCE / "contracts.md": {
            "modules": [module.name for module in iter_modules(fuze_contracts.__path__)]
        },
        _REFERENCE / "events.md": _describe_events(),
        _REFERENCE / "operations.md": _describe_operations(),
        _RECORDS / "index.md": {"records": list(_list_records())},
    }
    return {
        path: render(f"reference/{path.stem}.md.jinja", **values).rstrip() + "\n"
        for path, values in pages.items()
    }


def _list_commands() -> Iterator[tuple[str, str]]:
    """Return each command of `fuze` with its help."""
    root = click.Context(fuze, info_name="fuze", terminal_width=_WIDTH)
    queue: list[tuple[click.Command, click.Context]] = [(fuze, root)]
    while queue:
        command, context = queue.pop(0)
        yield context.command_path, _LAST_PARAGRAPH.sub("", command.get_help(context))
        if isinstance(command, click.Group):
            children = [
                (name, command.get_command(context, name))
                for name in command.list_commands(context)
            ]
            queue[:0] = [
                (child, click.Context(child, parent=context, info_name=name))
                for name, child in children
                if child
            ]


def _list_service_commands() -> Iterator[tuple[str, str]]:
    """Return each command of a service's process; one that all have, for the first alone."""
    seen = set()
    for service in SERVICES.values():
        text = _print_help(service.package)
        yield f"python -m {service.package}", text
        for name in re.findall(r"^    ([a-z-]+)\b", text, re.MULTILINE):
            if name not in seen:
                seen.add(name)
                yield f"python -m {service.package} {name}", _print_help(service.package, name)


def _print_help(package: str, *arguments: str) -> str:
    printed = io.StringIO()
    with (
        patch.object(sys, "argv", [package, *arguments, "--help"]),
        patch.dict("os.environ", {"COLUMNS": str(_WIDTH), "NO_COLOR": "1"}),
        redirect_stdout(printed),
        suppress(SystemExit),
    ):
        run_module(package, run_name="__main__")
    return printed.getvalue().rstrip()


def _describe_events() -> dict[str, Any]:
    meanings = _read_member_docstrings(EventType)
    described = {kind.__name__: kind for kind in DETAILS.values() if kind.model_fields}
    definitions: dict[str, JsonSchema] = {}
    for name, kind in described.items():
        definitions[name] = TypeAdapter(kind).json_schema()
    for nested in [one.pop("$defs", {}) for one in list(definitions.values())]:
        definitions |= nested
    return {
        "events": [
            {
                "type": event.value,
                "meaning": meanings[event.name],
                "status": _find_status_after(event),
                "payment_status": _find_payment_status_after(event),
                "details": _link(kind) if kind.model_fields else "",
            }
            for event, kind in DETAILS.items()
        ],
        "schemas": [describe_schema(name, one) for name, one in definitions.items()],
    }


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _read_member_docstrings(kind: type) -> dict[str, str]:
    """Return the docstring below each member; Python does not keep it."""
    found: dict[str, str] = {}
    for before, after in pairwise(ast.walk(ast.parse(inspect.getsource(kind)))):
        match before, after:
            case ast.Assign([ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                found[name] = " ".join(inspect.cleandoc(text).split())
    return found


def _find_status_after(event: EventType) -> str:
    found = {status_after(event, before) for before in OrderStatus}
    return f"`{found.pop()}`" if len(found) == 1 else ""


def _find_payment_status_after(event: EventType) -> str:
    found = {payment_status_after(event, before) for before in PaymentStatus}
    return f"`{found.pop()}`" if len(found) == 1 else ""


def _describe_operations() -> dict[str, Any]:
    document = json.loads((_REFERENCE / "openapi.json").read_text())
    return {
        "tags": document["tags"],
        "operations": [
            _describe_operation(method.upper(), path, operation, document["components"]["schemas"])
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in _METHODS
        ],
        "schemas": [
            describe_schema(name, schema)
            for name, schema in sorted(document["components"]["schemas"].items())
        ],
    }


def _describe_operation(
    method: str, path: str, operation: dict[str, Any], schemas: dict[str, JsonSchema]
) -> dict[str, Any]:
    body = [one["schema"] for one in operation.get("requestBody", {}).get("content", {}).values()]
    references = [
        kind.get("$ref", "") for schema in body for kind in [schema, *schema.get("anyOf", [])]
    ]
    examples = [
        example
        for reference in references
        for example in schemas.get(reference.rpartition("/")[2], {}).get("examples", [])[:1]
    ]
    return {
        "tag": operation["tags"][0],
        "summary": operation["summary"],
        "method": method,
        "path": path,
        "description": operation["description"],
        "parameters": [
            describe_field(
                one["name"],
                {"description": one.get("description", ""), **one["schema"]},
                required=one.get("required", False),
                location=one["in"],
            )
            for one in operation.get("parameters", [])
        ],
        "body": " or ".join(describe_type(schema) for schema in body),
        "examples": [json.dumps(one, indent=2, ensure_ascii=False) for one in examples],
        "responses": [
            (status, _describe_response(one))
            for status, one in sorted(operation["responses"].items())
        ],
    }


def _describe_response(response: dict[str, Any]) -> str:
    parts = []
    for kind, content in response.get("content", {}).items():
        if kind == "application/problem+json":
            parts.append(", ".join(f"`{name}`" for name in content.get("examples", {})))
        elif kind == "application/json":
            parts.append(describe_type(content["schema"]))
        else:
            parts.append(f"`{kind}`")
    return " or ".join(parts) or response["description"]


def _list_records() -> Iterator[tuple[int, str, str]]:
    """Return the number, the title and the file of each decision."""
    for path in sorted(_RECORDS.glob("[0-9]*.md")):
        number, title = path.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
        yield int(number), title, path.name


if __name__ == "__main__":
    main()
