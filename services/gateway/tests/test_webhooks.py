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

from fuze_contracts.payment import webhook_workflow_id
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
    description = await temporal.get_workflow_handle(webhook_workflow_id(event_id)).describe()
    assert description.workflow_type == "ProviderEventWorkflow"
    await temporal.get_workflow_handle(webhook_workflow_id(event_id)).terminate()


async def test_a_forged_event_is_refused(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "payment_id": str(uuid4())}).encode()
    headers = {"PSP-Signature": _signed(body, time.time(), "a guess")}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        answer = await http.post("/webhooks/psp", content=body, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/bad-signature")


async def test_an_event_that_says_nothing_is_refused(serve: Serve) -> None:
    body = b"[]"
    headers = {"PSP-Signature": _signed(body, time.time())}
    async with serve(psp_webhook_secret=SecretStr(_SECRET)) as http:
        assert (await http.post("/webhooks/psp", content=body, headers=headers)).status_code == 422


async def test_without_a_secret_no_webhook_is_taken(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/webhooks/psp", content=b"{}", headers={"PSP-Signature": "x"})

    assert answer.status_code == 404
