"""Webhooks: verified signatures, recent timestamps, one workflow per object."""

import hmac
import json
import time
import unicodedata
from uuid import UUID, uuid4

import easypost
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
from fuze_gateway.webhooks.signatures import is_easypost_webhook, verify_signature

_SECRET = "a-shared-secret"
_IGNORED = UUID("a02ea0ba-7d2a-4c5a-9a43-b7d1cd4a1c4a")


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


def _payment_event(payment_id: UUID) -> tuple[bytes, dict[str, str]]:
    event = {"id": f"evt_{uuid4().hex}", "payment_id": str(payment_id), "type": "charge.x"}
    body = json.dumps(event).encode()
    return body, {"PSP-Signature": _signed(body, time.time())}


async def test_many_events_of_a_payment_start_one_workflow_at_a_time(
    serve: Serve, temporal: Client
) -> None:
    payment_id = uuid4()
    handle = temporal.get_workflow_handle(payment_webhook_workflow_id(payment_id))

    async def send(http: httpx.AsyncClient) -> str | None:
        body, headers = _payment_event(payment_id)
        response = await http.post("/webhooks/psp", content=body, headers=headers)
        assert response.status_code == 204
        return (await handle.describe()).run_id

    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        while_open = {await send(http) for _ in range(20)}
        await handle.terminate()
        after = await send(http)

    assert len(while_open) == 1
    assert after not in while_open
    assert (await handle.describe()).workflow_type == "PaymentWebhookWorkflow"
    await handle.terminate()


async def test_the_webhooks_of_a_sender_are_limited(serve: Serve, temporal: Client) -> None:
    payment_ids = [uuid4() for _ in range(3)]
    limits = {"psp_webhook_secret": SecretStr(_SECRET), "webhook_rate_limit": "2/day"}
    async with serve(**limits) as http:
        responses = []
        for payment_id in payment_ids:
            body, headers = _payment_event(payment_id)
            responses.append(await http.post("/webhooks/psp", content=body, headers=headers))

    assert [one.status_code for one in responses] == [204, 204, 429]
    assert int(responses[-1].headers["retry-after"]) > 0
    for payment_id in payment_ids[:2]:
        await temporal.get_workflow_handle(payment_webhook_workflow_id(payment_id)).terminate()


async def test_invalid_signatures_are_limited_by_address(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "payment_id": str(uuid4())}).encode()
    headers = {"PSP-Signature": _signed(body, time.time(), "a guess")}
    limits = {"psp_webhook_secret": SecretStr(_SECRET), "failed_authentication_limit": "2/day"}
    async with serve(**limits) as http:
        responses = [
            await http.post("/webhooks/psp", content=body, headers=headers) for _ in range(3)
        ]

    assert [one.status_code for one in responses] == [401, 401, 429]


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


def _stripe_event(metadata: object, kind: str = "payment_intent.succeeded") -> bytes:
    event_id = f"evt_{uuid4().hex}"
    payment_intent = {"id": "pi_1", "object": "payment_intent", "metadata": metadata}
    event = {"id": event_id, "object": "event", "type": kind, "data": {"object": payment_intent}}
    return json.dumps(event).encode()


async def _send_from_stripe(http: httpx.AsyncClient, body: bytes, secret: str = _SECRET) -> int:
    headers = {"Stripe-Signature": _signed(body, time.time(), secret)}
    return (await http.post("/webhooks/stripe", content=body, headers=headers)).status_code


async def _has_workflow(temporal: Client, payment_id: UUID) -> bool:
    handle = temporal.get_workflow_handle(payment_webhook_workflow_id(payment_id))
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
    payment_id = uuid4()
    body = _stripe_event({"payment_id": str(payment_id)})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        responses = [await _send_from_stripe(http, body) for _ in range(3)]

    assert responses == [204] * 3
    assert await _has_workflow(temporal, payment_id)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"payment_id": str(_IGNORED)}, "payment_intent.created"),
        ({"payment_id": "not-a-uuid"}, "payment_intent.succeeded"),
        ({}, "payment_intent.succeeded"),
        (None, "balance.available"),
    ],
)
async def test_other_stripe_events_are_acknowledged_and_ignored(
    serve: Serve, temporal: Client, metadata: object, kind: str
) -> None:
    body = _stripe_event(metadata, kind)
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 204

    assert not await _has_workflow(temporal, _IGNORED)


async def test_a_forged_or_malformed_stripe_event_is_rejected(serve: Serve) -> None:
    body = _stripe_event({"payment_id": str(uuid4())})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body, "a guess") == 401
        assert await _send_from_stripe(http, b"[]") == 422


async def test_the_secret_of_the_sandbox_does_not_enable_stripe_webhooks(serve: Serve) -> None:
    body = _stripe_event({"payment_id": str(uuid4())})
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 404


async def test_many_events_of_a_shipment_start_one_workflow_at_a_time(
    serve: Serve, temporal: Client
) -> None:
    shipment_id = uuid4()
    handle = temporal.get_workflow_handle(carrier_webhook_workflow_id(shipment_id))
    run_ids = set()
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        for number in range(3):
            event = {"id": f"evt_{number}", "shipment_id": str(shipment_id), "type": "parcel.x"}
            body = json.dumps(event).encode()
            headers = {"Carrier-Signature": _signed(body, time.time())}
            response = await http.post("/webhooks/carrier", content=body, headers=headers)
            assert response.status_code == 204
            run_ids.add((await handle.describe()).run_id)

    assert len(run_ids) == 1
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


def _easypost_event(shipment_id: object, description: str = "tracker.updated") -> bytes:
    """An event as EasyPost documents it: docs.easypost.com/docs/events, Tracker object."""
    tracker = {"id": "trk_1", "object": "Tracker", "status": "delivered"}
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "Event",
        "description": description,
        "mode": "test",
        "result": {**tracker, "shipment_id": shipment_id},
    }
    return json.dumps(event).encode()


def _easypost_signature(body: bytes, secret: str = _SECRET) -> str:
    """As EasyPost signs, by its client: easypost-python 10.7, `easypost/util.py`."""
    key = unicodedata.normalize("NFKD", secret).encode()
    return f"hmac-sha256-hex={hmac.new(key, body, 'sha256').hexdigest()}"


async def _send_from_easypost(http: httpx.AsyncClient, body: bytes, signature: str) -> int:
    headers = {"X-Hmac-Signature": signature}
    return (await http.post("/webhooks/easypost", content=body, headers=headers)).status_code


async def test_the_events_of_an_easypost_shipment_start_one_workflow_at_a_time(
    serve: Serve, temporal: Client
) -> None:
    shipment_id = f"shp_{uuid4().hex}"
    handle = temporal.get_workflow_handle(carrier_webhook_workflow_id(shipment_id))
    run_ids = set()
    async with serve(easypost_webhook_secret=SecretStr(_SECRET)) as http:
        for _ in range(3):
            body = _easypost_event(shipment_id)
            assert await _send_from_easypost(http, body, _easypost_signature(body)) == 204
            run_ids.add((await handle.describe()).run_id)

    assert len(run_ids) == 1
    assert (await handle.describe()).workflow_type == "CarrierWebhookWorkflow"
    await handle.terminate()


@pytest.mark.parametrize("secret", ["plain", "s\u00e9cret \ufb01"], ids=["ascii", "unicode"])
def test_a_signature_that_easyposts_own_client_accepts_is_valid(secret: str) -> None:
    body = _easypost_event("shp_1")
    signature = _easypost_signature(body, secret)

    easypost.util.validate_webhook(body, {"X-Hmac-Signature": signature}, secret)

    assert is_easypost_webhook(signature, body, SecretStr(secret))


@pytest.mark.parametrize(
    ("shipment_id", "description"),
    [
        ("shp_2", "tracker.created"),
        ("shp_2", "shipment.invoice.updated"),
        (None, "tracker.updated"),
        ("not/a/shipment", "tracker.updated"),
    ],
)
async def test_other_easypost_events_are_acknowledged_and_ignored(
    serve: Serve, temporal: Client, shipment_id: object, description: str
) -> None:
    body = _easypost_event(shipment_id, description)
    async with serve(easypost_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_easypost(http, body, _easypost_signature(body)) == 204

    with pytest.raises(RPCError, match="not found"):
        await temporal.get_workflow_handle(carrier_webhook_workflow_id("shp_2")).describe()


async def test_a_forged_or_malformed_easypost_event_is_rejected(serve: Serve) -> None:
    body, malformed = _easypost_event("shp_3"), b"[]"
    digest = _easypost_signature(body).removeprefix("hmac-sha256-hex=")
    async with serve(easypost_webhook_secret=SecretStr(_SECRET)) as http:
        forged = [
            await _send_from_easypost(http, body, signature)
            for signature in (_easypost_signature(body, "a guess"), digest, "")
        ]
        invalid = await _send_from_easypost(http, malformed, _easypost_signature(malformed))

    assert (forged, invalid) == ([401] * 3, 422)


async def test_the_secret_of_the_carrier_does_not_enable_easypost_webhooks(serve: Serve) -> None:
    body = _easypost_event("shp_4")
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_easypost(http, body, _easypost_signature(body)) == 404
