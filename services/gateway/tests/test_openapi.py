"""The OpenAPI document: complete, current, and usable by client generators."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from fuze_gateway.auth.principals import Scope
from fuze_gateway.openapi_export import build_documents
from fuze_gateway.problems.registry import REGISTRY
from fuze_testing import unmeasured_environment

_DOCS = Path(__file__).parents[3] / "docs/reference"
_METHODS = {"get", "put", "post", "delete", "patch"}

OPENAPI: dict[str, Any] = json.loads((_DOCS / "openapi.json").read_text())
COMPONENTS: dict[str, Any] = OPENAPI["components"]
OPERATIONS = {
    operation["operationId"]: operation
    for path in OPENAPI["paths"].values()
    for method, operation in path.items()
    if method in _METHODS
}


def test_the_documents_in_the_repository_are_current() -> None:
    documents = build_documents()

    assert {name: (_DOCS / name).read_text() for name in documents} == documents, (
        "run: make openapi"
    )


def _has_example(content: dict[str, Any]) -> bool:
    if "example" in content or "examples" in content:
        return True
    schema = content["schema"]
    if "anyOf" in schema:  # an optional body
        schema = next(one for one in schema["anyOf"] if "$ref" in one)
    if name := schema.get("$ref", "").removeprefix("#/components/schemas/"):
        schema = OPENAPI["components"]["schemas"][name]
    return bool(schema.get("examples"))


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_and_every_error_has_an_example(name: str) -> None:
    operation = OPERATIONS[name]
    bodies = operation.get("requestBody", {}).get("content", {})
    responses = {
        f"{status} {kind}": content
        for status, response in operation["responses"].items()
        for kind, content in response.get("content", {}).items()
    }

    assert [kind for kind, body in bodies.items() if not _has_example(body)] == []
    assert [kind for kind, response in responses.items() if not _has_example(response)] == []
    assert operation["summary"]
    assert operation["description"]


def _get_examples(part: object) -> Iterator[tuple[object, dict[str, Any]]]:
    """Yield each example of a part of the document with its schema."""
    if isinstance(part, list):
        for child in part:
            yield from _get_examples(child)
    if not isinstance(part, dict):
        return
    schema = part.get("schema", part)
    examples = part.get("examples", [])
    if isinstance(examples, dict):  # of a media type or parameter: by name, or a reference
        examples = [
            COMPONENTS["examples"][example["$ref"].split("/")[-1]] if "$ref" in example else example
            for example in examples.values()
        ]
        examples = [example["value"] for example in examples]
    if "example" in part:
        examples = [*examples, part["example"]]
    yield from ((example, schema) for example in examples)
    for name, child in part.items():
        if name not in {"example", "examples"}:
            yield from _get_examples(child)


_EXAMPLES = list(_get_examples([OPENAPI["paths"], OPENAPI["components"]["schemas"]]))


def test_every_example_is_valid_for_its_schema() -> None:
    errors = []
    for example, schema in _EXAMPLES:
        validator = jsonschema_rs.Draft202012Validator(
            schema | {"components": COMPONENTS}, validate_formats=True
        )
        errors += [
            f"{example!r}: {error.message} at {error.instance_path}"
            for error in validator.iter_errors(example)
        ]

    assert len(_EXAMPLES) > 100
    assert errors == []


def test_the_titles_of_schemas_are_their_names_and_nothing_else_has_a_title() -> None:
    text = json.dumps(OPENAPI["paths"])

    assert '"title": "' not in re.sub(r'\\"', "", text)
    for name, schema in COMPONENTS["schemas"].items():
        assert schema["title"] == name
        assert name.isidentifier()
        assert not name.endswith(("Input", "Output"))


def test_limits_are_given_in_the_words_of_json_schema() -> None:
    # pydantic writes its own names where a validator stands before the limits.
    pydantics = re.compile(r'"(ge|le|gt|lt|multiple_of|min_length|max_length)": ')

    assert pydantics.findall(json.dumps(COMPONENTS) + json.dumps(OPENAPI["paths"])) == []


@pytest.mark.parametrize("field", ["status", "payment_status", "state", "kind", "type", "scopes"])
def test_states_and_codes_are_enumerations(field: str) -> None:
    found = [
        schema["properties"][field]
        for name, schema in COMPONENTS["schemas"].items()
        if field in schema.get("properties", {}) and not name.startswith("Problem")
    ]

    assert found
    for schema in found:
        text = json.dumps(schema)
        assert "#/components/schemas/" in text or '"enum"' in text or '"const"' in text, schema


def _get_enumerations(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for child in part:
            yield from _get_enumerations(child)
    if isinstance(part, dict):
        yield from part.get("enum", [])
        yield from _get_enumerations([child for name, child in part.items() if name != "not"])


def test_every_state_and_code_is_documented() -> None:
    schemas = {
        name: schema
        for name, schema in COMPONENTS["schemas"].items()
        if not name.endswith("Request") and not name.startswith("Problem")
    }
    documented = "".join(
        (_DOCS / name).read_text() for name in ("states.md", "events.md", "api.md")
    )

    values = set(_get_enumerations(schemas)) - {scope.value for scope in Scope}
    assert len(values) > 50
    assert [value for value in sorted(values) if f"`{value}`" not in documented] == []


def test_a_problem_names_every_type_that_is_registered() -> None:
    types = COMPONENTS["schemas"]["ProblemDetails"]["properties"]["type"]["enum"]

    assert types == sorted(problem_type.uri for problem_type in REGISTRY.values())


def test_operation_summaries_are_unique() -> None:
    summaries = [operation["summary"] for operation in OPERATIONS.values()]

    assert sorted(set(summaries)) == sorted(summaries)


def test_every_registered_problem_is_documented() -> None:
    used = {
        name
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for name in content.get("examples", {})
    }

    of_every_path = {
        *("not-found", "method-not-allowed", "internal-error", "headers-too-large"),
    }
    assert used | of_every_path == REGISTRY.keys()


@pytest.fixture(scope="session")
def client_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client that was generated from the document."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text("post_hooks: []\nproject_name_override: generated-client\n")
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("openapi-python-client")), "generate"),
            *("--path", str(_DOCS / "openapi.json"), "--config", str(folder / "config.yaml")),
            *("--output-path", str(folder / "generated-client"), "--fail-on-warning"),
        ],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "generated-client"


async def test_a_generated_client_places_an_order_and_reads_it(
    gateway: httpx.AsyncClient, client_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(client_package))
    from generated_client import Client, models  # noqa: PLC0415 - made a moment ago
    from generated_client.api.orders import get_order_status, place_order  # noqa: PLC0415 - likewise

    client = Client(base_url="http://gateway").set_async_httpx_client(gateway)
    order = models.PlaceOrderRequest(address=models.AddressRequest(zip_code="10001"))
    placed = await place_order.asyncio(client=client, body=order, idempotency_key="by-a-client")
    status = await get_order_status.asyncio(client=client, order_id=placed.order_id)

    assert status.status == "awaiting_approval"
