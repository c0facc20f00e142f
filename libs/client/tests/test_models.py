"""The client's models are those of openapi.json; its sync half is that of its async one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fuze_client import models, requests, webhook_models
from fuze_testing.releases import find_last_release

_ROOT = Path(__file__).parents[3]
_SCHEMAS: dict[str, Any] = json.loads((_ROOT / "docs/reference/openapi.json").read_text())[
    "components"
]["schemas"]
_LAST = find_last_release()
_LINES = ("RefundLineRequest", "ReturnLineRequest")
_BUILT_BY_METHODS = {
    *("ApproveOrderRequest", "ApproveOrdersRequest", "RejectOrderRequest", "RetryOrderRequest"),
    *("CancelOrderRequest", "CancelOrdersRequest", "RecoverOrderRequest", "RecoverOrdersRequest"),
    *("ChangeAddressRequest", "ChangePaymentMethodRequest", "ChangeReturnRequest"),
    *("RefundOrderRequest", "RequestReturnRequest", "StartOrderRequest"),
    *("CreateWebhookEndpointRequest", "ChangeWebhookEndpointRequest"),
    *("RotateWebhookSecretRequest", "RedeliverWebhooksRequest"),
}
_LEFT_OUT = {
    *("SignalResponse", "Liveness"),  # commands wait for the outcome; probes
    *("ApiKey", "ListApiKeysResponse", "CreateApiKeyRequest", "CreateApiKeyResponse"),
    *("ProblemDetails", "ProblemTypeResponse", "ListProblemTypesResponse"),  # Problem, in errors
}
_LONGEST_ENUMERATION = 50
"""A longer one, of countries or currencies, is a text in the client."""

Schema = dict[str, Any]


def _list_models() -> dict[str, type[BaseModel]]:
    """Return the client's models by the names of their schemas."""
    found = {
        name: one
        for name, one in {**vars(models), **vars(webhook_models), **vars(requests)}.items()
        if isinstance(one, type) and issubclass(one, BaseModel) and not name.startswith("_")
    }
    del found["BaseModel"]
    line = found.pop("LineQuantity")
    return found | dict.fromkeys(_LINES, line)


_MODELS = _list_models()


def _get_types(schema: Schema, definitions: Schema) -> set[str]:
    """Return what a field can be: an enumeration is a text."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found = definitions[name]
        is_model = found.get("type") == "object"
        return {"LineQuantity" if name in _LINES else name} if is_model else {"string"}
    if "anyOf" in schema:
        return set().union(*(_get_types(one, definitions) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return {f"list of {sorted(_get_types(schema['items'], definitions))}"}
    if isinstance(values := schema.get("additionalProperties"), dict):
        return {f"map of {sorted(_get_types(values, definitions))}"}
    return {schema.get("format", schema["type"])}


def _get_values(schema: Schema, definitions: Schema) -> set[str]:
    """Return the values of an enumeration, wherever it is in a field."""
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        return set(found.get("enum", ()))
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    nested = (_get_values(one, definitions) for one in inner if isinstance(one, dict))
    return set(schema.get("enum", ())).union(*nested)


def _list_new(name: str) -> set[str]:
    """Return the fields that a gateway of the last release does not know: they have a default."""
    last = _LAST.openapi["components"]["schemas"].get(name) if _LAST else None
    return _SCHEMAS[name]["properties"].keys() - last["properties"].keys() if last else set()


@pytest.mark.parametrize("name", _MODELS)
def test_a_model_has_the_fields_of_the_api(name: str) -> None:
    ours, theirs = _MODELS[name].model_json_schema(), _SCHEMAS[name]

    assert ours["properties"].keys() == theirs["properties"].keys()
    assert set(ours.get("required", ())) == set(theirs.get("required", ())) - _list_new(name)
    for field, expected in theirs["properties"].items():
        found = ours["properties"][field]
        assert _get_types(found, ours.get("$defs", {})) == _get_types(expected, _SCHEMAS), field
        values = _get_values(expected, _SCHEMAS)
        if len(values) <= _LONGEST_ENUMERATION:
            assert _get_values(found, ours.get("$defs", {})) == values, field


def test_every_model_of_the_api_has_one_in_the_client() -> None:
    objects = {name for name, one in _SCHEMAS.items() if "properties" in one}

    assert objects == {*_MODELS, *_BUILT_BY_METHODS, *_LEFT_OUT}


def test_a_value_and_a_field_that_are_new_are_no_error() -> None:
    found = models.ReturnLine.model_validate({"line_id": "1", "quantity": 2, "colour": "blue"})
    event = models.PendingActivity.model_validate(
        {"name": "payment_charged", "state": "hibernating", "attempt": 1}
    )

    assert (found.quantity, event.state) == (2, "hibernating")


def test_the_sync_client_is_generated_from_the_async_one() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/generate_client.py", "--check"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
