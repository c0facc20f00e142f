"""The carrier's webhooks: only its own, each once."""

import json
import time
from uuid import uuid4

import httpx
from pydantic import SecretStr
from stand_in import Serve
from temporalio.client import Client
from test_webhooks import _SECRET, _signed

from fuze_contracts.workflow_ids import carrier_webhook_workflow_id


async def test_a_genuine_event_is_followed_up_once(serve: Serve, temporal: Client) -> None:
    event_id = f"evt_{uuid4().hex}"
    body = json.dumps({"id": event_id, "shipment_id": str(uuid4()), "type": "parcel.x"}).encode()
    headers = {"Carrier-Signature": _signed(body, time.time())}
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        answers = [
            await http.post("/webhooks/carrier", content=body, headers=headers) for _ in range(3)
        ]

    assert [one.status_code for one in answers] == [204] * 3
    handle = temporal.get_workflow_handle(carrier_webhook_workflow_id(event_id))
    assert (await handle.describe()).workflow_type == "CarrierWebhookWorkflow"
    await handle.terminate()


async def test_a_forged_event_is_refused(serve: Serve) -> None:
    body = json.dumps({"id": "evt_1", "shipment_id": str(uuid4())}).encode()
    headers = {"Carrier-Signature": _signed(body, time.time(), "a guess")}
    async with serve(carrier_webhook_secret=SecretStr(_SECRET)) as http:
        answer = await http.post("/webhooks/carrier", content=body, headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-signature")


async def test_without_a_secret_nothing_is_taken(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post(
        "/webhooks/carrier", content=b"{}", headers={"Carrier-Signature": "t=1,v1=0"}
    )

    assert answer.status_code == 404
