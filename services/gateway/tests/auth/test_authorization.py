"""The scope of every operation, and the roles that have it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from gateway_harness import MakeKey, bearer

from fuze_gateway.auth.principals import Role

OPENAPI = json.loads((Path(__file__).parents[4] / "docs/reference/openapi.json").read_text())


def _operations() -> Iterator[tuple[str, str, str, str | None]]:
    for path, operations in OPENAPI["paths"].items():
        for method, operation in operations.items():
            scope = operation.get("x-required-scope")
            assert operation["security"] == ([{"bearer": []}] if scope else [])
            yield operation["operationId"], method, path, scope


ALLOWED = {
    "orders:read": {"viewer", "merchant", "approver", "operator", "admin"},
    "orders:write": {"merchant", "operator", "admin"},
    "orders:approve": {"approver", "admin"},
    "orders:operate": {"operator", "admin"},
    "payments:refund": {"operator", "admin"},
    "keys:manage": {"admin"},
    "webhooks:operate": {"operator", "admin"},
    "webhooks:manage": {"admin"},
}
SCOPES = {
    "listOrders": "orders:read", "getOrder": "orders:read", "getOrderStatus": "orders:read",
    "getOrderEvents": "orders:read", "streamOrderEvents": "orders:read",
    "listEvents": "orders:read", "createStreamTicket": "orders:read",
    "getOrderPayments": "orders:read",
    "getOrderLedger": "orders:read",
    "placeOrder": "orders:write", "startOrder": "orders:write", "cancelOrder": "orders:write",
    "cancelOrders": "orders:write", "changeAddress": "orders:write",
    "changePaymentMethod": "orders:write", "cancelOrderAsync": "orders:write",
    "changeAddressAsync": "orders:write",
    "approveOrder": "orders:approve", "approveOrders": "orders:approve",
    "rejectOrder": "orders:approve", "approveOrderAsync": "orders:approve",
    "retryOrder": "orders:operate", "recoverOrder": "orders:operate",
    "recoverOrders": "orders:operate", "listTaskQueues": "orders:operate",
    "listDiscrepancies": "orders:operate",
    "getCaller": "orders:read", "listOpenReturns": "orders:operate",
    "listReturns": "orders:read", "getReturn": "orders:read",
    "requestReturn": "orders:write", "cancelReturn": "orders:write",
    "approveReturn": "payments:refund", "rejectReturn": "payments:refund",
    "receiveReturn": "payments:refund",
    "refundOrder": "payments:refund",
    "createApiKey": "keys:manage", "listApiKeys": "keys:manage", "revokeApiKey": "keys:manage",
    "listWebhookEndpoints": "webhooks:operate", "getWebhookEndpoint": "webhooks:operate",
    "listWebhookDeliveries": "webhooks:operate", "redeliverWebhooks": "webhooks:operate",
    "testWebhookEndpoint": "webhooks:operate",
    "createWebhookEndpoint": "webhooks:manage", "changeWebhookEndpoint": "webhooks:manage",
    "deleteWebhookEndpoint": "webhooks:manage", "rotateWebhookSecret": "webhooks:manage",
    "listProblems": None, "getProblem": None,
    "livez": None, "readyz": None, "receivePspWebhook": None, "receiveStripeWebhook": None,
    "receiveCarrierWebhook": None, "receiveEasypostWebhook": None,
}  # fmt: skip
"""Repeated here on purpose: a new operation, or a wider scope, must be a deliberate change."""


@pytest.mark.parametrize(("name", "method", "path", "documented"), list(_operations()))
async def test_each_operation_allows_the_expected_roles(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    secured: httpx.AsyncClient,
    make_key: MakeKey,
    name: str,
    method: str,
    path: str,
    documented: str | None,
) -> None:
    scope = SCOPES[name]  # an operation without an entry fails here
    path = path.replace("{slug}", "request-rejected")
    url = re.sub(
        r"\{(order|return|endpoint)_id\}", str(uuid4()), path.replace("{key_id}", "0123456789ab")
    )
    body = {"json": {}} if method in {"post", "put", "patch"} else {}
    responses = {"anonymous": await secured.request(method, url, **body)}
    for role in Role:
        headers = bearer(await make_key(role)) | {"Idempotency-Key": "a"}
        responses[role] = await secured.request(method, url, headers=headers, **body)

    if scope is None:
        assert documented is None
        assert not {401, 403} & {
            response.status_code
            for response in responses.values()
            if response.headers.get("www-authenticate")
        }
    else:
        assert documented == scope
        assert responses.pop("anonymous").status_code == 401
        allowed = {role for role, response in responses.items() if response.status_code != 403}
        assert allowed == ALLOWED[scope]


async def test_a_caller_learns_its_name_and_its_scopes(
    secured: httpx.AsyncClient, gateway: httpx.AsyncClient, make_key: MakeKey
) -> None:
    key = await make_key(Role.APPROVER)

    known = (await secured.get("/caller", headers=bearer(key))).json()
    anonymous = (await gateway.get("/caller")).json()

    assert known["scopes"] == ["orders:approve", "orders:read"]
    assert known["name"]
    assert (anonymous["name"], len(anonymous["scopes"])) == (None, len(ALLOWED))
