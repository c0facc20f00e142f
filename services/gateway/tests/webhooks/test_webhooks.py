"""Webhooks: verified signatures, recent timestamps, one workflow per event."""

import hmac
import json
import time
from uuid import uuid4

import httpx
import pytest
from gateway_harness import Serve
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.workflow_ids import (
    carrier_webhook_workflow_id,
    payment_webhook_workflow_id,
)
from fuze_gateway.webhooks.signatures import verify_signature

_SECRET = "a-shared-secret"


def _signed(body: bytes, at: float, secret: str = _SECRET) -> str:
    digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, "sha256").hexdigest()
    return f"t={int(at)},v1={digest}"


@pytest.mark.parametrize(
    ("signature", "valid"),
    [
        (_signed(b"body", 1000), True),
        (_signed(b"body", 1300), True),
        (f"t=1000,v1={'0' * 64},{_signed(b'body', 1000)[7:]},v0=old", True),
        (f"{_signed(b'body', 1000)},t=1001", False),
        (_signed(b"body", 1000)[7:], False),
        (_signed(b"body", 699), False),
        (_signed(b"body", 1301), False),
        (_signed(b"other", 1000), False),
        (_signed(b"body", 1000, "another secret"), False),
        ("t=1000,v1=", False),
        ("", False),
        ("v1=" + "0" * 64, False),
    ],
)
def test_a_signature_covers_the_raw_body_and_a_recent_timestamp(
    signature: str, *, valid: bool
) -> None:
    assert verify_signature(signature, b"body", _SECRET, 1000) is valid


async def test_a_payment_event_starts_one_workflow(serve: Serve, temporal: Client) -> None:
    event_id = f"evt_{uuid4().hex}"
    body = json.dumps({"id": event_id, "payment_id": str(uuid4()), "type": "charge.x"}).encode()
    headers = {"PSP-Signature": _signed(body, time.time())}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        responses = [
            await http.post("/webhooks/psp", content=body, headers=headers) for _ in range(3)
        ]

    assert [one.status_code for one in responses] == [204] * 3
    description = await temporal.get_workflow_handle(
        payment_webhook_workflow_id(event_id)
    ).describe()
    assert description.workflow_type == "PaymentWebhookWorkflow"
    await temporal.get_workflow_handle(payment_webhook_workflow_id(event_id)).terminate()


async def test_a_payment_event_with_a_wrong_signature_is_rejected(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "payment_id": str(uuid4())}).encode()
    headers = {"PSP-Signature": _signed(body, time.time(), "a guess")}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        response = await http.post("/webhooks/psp", content=body, headers=headers)

    assert (response.status_code, response.json()["type"]) == (401, "/problems/invalid-signature")


async def test_a_malformed_payment_event_is_rejected(serve: Serve) -> None:
    body = b"[]"
    headers = {"PSP-Signature": _signed(body, time.time())}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert (await http.post("/webhooks/psp", content=body, headers=headers)).status_code == 422


async def test_payment_webhooks_without_a_secret_are_not_found(gateway: httpx.AsyncClient) -> None:
    response = await gateway.post("/webhooks/psp", content=b"{}", headers={"PSP-Signature": "x"})

    assert response.status_code == 404


def _stripe_event(metadata: object, kind: str = "payment_intent.succeeded") -> tuple[str, bytes]:
    event_id = f"evt_{uuid4().hex}"
    payment_intent = {"id": "pi_1", "object": "payment_intent", "metadata": metadata}
    event = {"id": event_id, "object": "event", "type": kind, "data": {"object": payment_intent}}
    return event_id, json.dumps(event).encode()


async def _send_from_stripe(http: httpx.AsyncClient, body: bytes, secret: str = _SECRET) -> int:
    headers = {"Stripe-Signature": _signed(body, time.time(), secret)}
    return (await http.post("/webhooks/stripe", content=body, headers=headers)).status_code


async def _has_workflow(temporal: Client, event_id: str) -> bool:
    handle = temporal.get_workflow_handle(payment_webhook_workflow_id(event_id))
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    assert description.workflow_type == "PaymentWebhookWorkflow"
    await handle.terminate()
    return True


async def test_a_stripe_event_of_our_payment_starts_one_workflow(
    serve: Serve, temporal: Client
) -> None:
    event_id, body = _stripe_event({"payment_id": str(uuid4())})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        responses = [await _send_from_stripe(http, body) for _ in range(3)]

    assert responses == [204] * 3
    assert await _has_workflow(temporal, event_id)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"payment_id": "a02ea0ba-7d2a-4c5a-9a43-b7d1cd4a1c4a"}, "payment_intent.created"),
        ({"payment_id": "not-a-uuid"}, "payment_intent.succeeded"),
        ({}, "payment_intent.succeeded"),
        (None, "balance.available"),
    ],
)
async def test_other_stripe_events_are_acknowledged_and_ignored(
    serve: Serve, temporal: Client, metadata: object, kind: str
) -> None:
    event_id, body = _stripe_event(metadata, kind)
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 204

    assert not await _has_workflow(temporal, event_id)


async def test_a_forged_or_malformed_stripe_event_is_rejected(serve: Serve) -> None:
    _, body = _stripe_event({"payment_id": str(uuid4())})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body, "a guess") == 401
        assert await _send_from_stripe(http, b"[]") == 422


async def test_the_secret_of_the_sandbox_does_not_enable_stripe_webhooks(serve: Serve) -> None:
    _, body = _stripe_event({"payment_id": str(uuid4())})
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 404


async def test_a_carrier_event_starts_one_workflow(serve: Serve, temporal: Client) -> None:
    event_id = f"evt_{uuid4().hex}"
    body = json.dumps({"id": event_id, "shipment_id": str(uuid4()), "type": "parcel.x"}).encode()
    headers = {"Carrier-Signature": _signed(body, time.time())}
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        responses = [
            await http.post("/webhooks/carrier", content=body, headers=headers) for _ in range(3)
        ]

    assert [one.status_code for one in responses] == [204] * 3
    handle = temporal.get_workflow_handle(carrier_webhook_workflow_id(event_id))
    assert (await handle.describe()).workflow_type == "CarrierWebhookWorkflow"
    await handle.terminate()


async def test_a_carrier_event_with_a_wrong_signature_is_rejected(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "shipment_id": str(uuid4())}).encode()
    headers = {"Carrier-Signature": _signed(body, time.time(), "a guess")}
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        response = await http.post("/webhooks/carrier", content=body, headers=headers)

    assert (response.status_code, response.json()["type"]) == (401, "/problems/invalid-signature")


async def test_carrier_webhooks_without_a_secret_are_not_found(gateway: httpx.AsyncClient) -> None:
    response = await gateway.post(
        "/webhooks/carrier", content=b"{}", headers={"Carrier-Signature": "t=1,v1=0"}
    )

    assert response.status_code == 404
