"""The OpenAPI document: what FastAPI generates, completed for linters and generators of clients."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fuze_gateway.auth.authorization import REQUIRED_SCOPE, SECURITY_SCHEMES
from fuze_gateway.problems.openapi import add_problem_components

SERVERS = [{"url": "/", "description": "The gateway that serves this document."}]
CONTACT = {"name": "The maintainers of Fuze"}
LICENSE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}

_METHODS = {"get", "put", "post", "delete", "patch"}


def complete(document: dict[str, Any]) -> None:
    """Complete a document in place: components, security, examples, titles."""
    components = document["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    for operation in _get_operations(document):
        if scope := operation.get(REQUIRED_SCOPE):
            operation["description"] += f"\n\nRequires the scope `{scope}`."
        else:
            operation["security"] = []  # public: a probe, the documentation, or signed otherwise
    add_problem_components(document)
    _restore_examples(components["schemas"])
    _describe_defaults(components["schemas"])
    _remove_generated_titles(document["paths"])
    for schema in components["schemas"].values():
        _remove_generated_titles({key: part for key, part in schema.items() if key != "title"})


def _get_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in _METHODS)


def _restore_examples(schemas: dict[str, Any]) -> None:
    """Restore the examples of our models: FastAPI removes each null, which may be a required field.

    A model that is not ours has no example with a null.
    """
    for model in _get_models(BaseModel):
        extra = model.model_config.get("json_schema_extra")
        schema = schemas.get(model.__name__, {})
        if isinstance(extra, dict) and "examples" in extra and "examples" in schema:
            schema["examples"] = extra["examples"]


def _get_models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("fuze_gateway."):
            yield model
        yield from _get_models(model)


def _describe_defaults(schemas: dict[str, Any]) -> None:
    """Describe the defaults of request fields in words: some generators require what has one."""
    for name, schema in schemas.items():
        if not name.endswith("Request"):
            continue
        for field in schema.get("properties", {}).values():
            if "default" in field:
                default = json.dumps(field.pop("default"), ensure_ascii=False)
                described = [field.get("description", ""), f"Default: `{default}`."]
                field["description"] = " ".join(filter(None, described))


def _remove_generated_titles(part: object) -> None:
    """Remove the titles that pydantic makes of field names: generators name types after them.

    Only the name of a component is unique.
    """
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for name, child in part.items():
            if name not in {"example", "examples", "default", "enum", "const"}:
                _remove_generated_titles(child)
    elif isinstance(part, list):
        for child in part:
            _remove_generated_titles(child)
