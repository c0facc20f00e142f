"""Webhooks: only the provider's, only new ones, each once."""

import hmac
import json
import time
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from stand_in import Serve
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.workflow_ids import payment_webhook_workflow_id
from fuze_gateway.webhooks import is_genuine

_SECRET = "a-shared-secret"


def _signed(body: bytes, at: float, secret: str = _SECRET) -> str:
    digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, "sha256").hexdigest()
    return f"t={int(at)},v1={digest}"


@pytest.mark.parametrize(
    ("signature", "genuine"),
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
def test_a_signature_is_over_the_raw_body_and_young(signature: str, *, genuine: bool) -> None:
    assert is_genuine(signature, b"body", _SECRET, 1000) is genuine


async def test_a_genuine_event_is_followed_up_once(serve: Serve, temporal: Client) -> None:
    event_id = f"evt_{uuid4().hex}"
    body = json.dumps({"id": event_id, "payment_id": str(uuid4()), "type": "charge.x"}).encode()
    headers = {"PSP-Signature": _signed(body, time.time())}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        answers = [
            await http.post("/webhooks/psp", content=body, headers=headers) for _ in range(3)
        ]

    assert [one.status_code for one in answers] == [204] * 3
    description = await temporal.get_workflow_handle(
        payment_webhook_workflow_id(event_id)
    ).describe()
    assert description.workflow_type == "PaymentWebhookWorkflow"
    await temporal.get_workflow_handle(payment_webhook_workflow_id(event_id)).terminate()


async def test_a_forged_event_is_refused(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "payment_id": str(uuid4())}).encode()
    headers = {"PSP-Signature": _signed(body, time.time(), "a guess")}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        answer = await http.post("/webhooks/psp", content=body, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-signature")


async def test_an_event_that_says_nothing_is_refused(serve: Serve) -> None:
    body = b"[]"
    headers = {"PSP-Signature": _signed(body, time.time())}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert (await http.post("/webhooks/psp", content=body, headers=headers)).status_code == 422


async def test_without_a_secret_no_webhook_is_taken(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/webhooks/psp", content=b"{}", headers={"PSP-Signature": "x"})

    assert answer.status_code == 404


def _of_stripe(metadata: object, kind: str = "payment_intent.succeeded") -> tuple[str, bytes]:
    event_id = f"evt_{uuid4().hex}"
    thing = {"id": "pi_1", "object": "payment_intent", "metadata": metadata}
    event = {"id": event_id, "object": "event", "type": kind, "data": {"object": thing}}
    return event_id, json.dumps(event).encode()


async def _send_from_stripe(http: httpx.AsyncClient, body: bytes, secret: str = _SECRET) -> int:
    headers = {"Stripe-Signature": _signed(body, time.time(), secret)}
    return (await http.post("/webhooks/stripe", content=body, headers=headers)).status_code


async def _is_followed_up(temporal: Client, event_id: str) -> bool:
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


async def test_an_event_of_stripes_about_a_payment_of_ours_is_followed_up_once(
    serve: Serve, temporal: Client
) -> None:
    event_id, body = _of_stripe({"payment_id": str(uuid4())})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        answers = [await _send_from_stripe(http, body) for _ in range(3)]

    assert answers == [204] * 3
    assert await _is_followed_up(temporal, event_id)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"payment_id": "a02ea0ba-7d2a-4c5a-9a43-b7d1cd4a1c4a"}, "payment_intent.created"),
        ({"payment_id": "somebody else's"}, "payment_intent.succeeded"),
        ({}, "payment_intent.succeeded"),
        (None, "balance.available"),
    ],
)
async def test_any_other_event_of_stripes_is_acknowledged_and_ignored(
    serve: Serve, temporal: Client, metadata: object, kind: str
) -> None:
    event_id, body = _of_stripe(metadata, kind)
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 204

    assert not await _is_followed_up(temporal, event_id)


async def test_a_forged_or_broken_event_of_stripes_is_refused(serve: Serve) -> None:
    _, body = _of_stripe({"payment_id": str(uuid4())})
    async with serve(stripe_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body, "a guess") == 401
        assert await _send_from_stripe(http, b"[]") == 422


async def test_the_sandboxs_secret_opens_nothing_for_stripe(serve: Serve) -> None:
    _, body = _of_stripe({"payment_id": str(uuid4())})
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert await _send_from_stripe(http, body) == 404
