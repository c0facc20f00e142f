"""Receivers of webhooks: what they record, how they respond, and how their faults are repaired."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from fuze_chaos.endpoints.receiver import Behaviour
from fuze_chaos.endpoints.receivers import Receivers
from fuze_chaos.faults.endpoints import EndpointFaults
from fuze_chaos.workload.request_log import read_log

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_NAME = "endpoint-1"


class Gateway:
    """What the receivers need of the gateway, and what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.is_enabled = True
        self.sent: list[tuple[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"{}")
        if request.method == "GET":
            return httpx.Response(200, json={"enabled": self.is_enabled})
        if request.url.path == "/webhook-endpoints":
            self.url = body["url"]
            return httpx.Response(201, json={"endpoint_id": "e-1", "secret": _SECRET})
        self.sent.append((f"{request.method} {request.url.path}", body))
        return httpx.Response(202, json={})

    async def send(self, message_id: str, secret: str = _SECRET) -> httpx.Response:
        """Send a message to the receiver, as the webhooks service would."""
        data = {"order_id": str(uuid4()), "seq": 1, "type": "order_received"}
        body = json.dumps({"data": data})
        at = datetime(2026, 1, 5, tzinfo=UTC)  # long ago
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, at, body),
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(self.url, content=body, headers=headers, timeout=0.5)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.MockTransport(gateway)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


@pytest.fixture
async def receivers(http: httpx.AsyncClient, folder: Path) -> AsyncIterator[Receivers]:
    receivers = Receivers(folder, http)
    try:
        await receivers.create({_NAME: ()})
        yield receivers
    finally:
        await receivers.stop()


@pytest.fixture
def faults(receivers: Receivers, http: httpx.AsyncClient) -> EndpointFaults:
    return EndpointFaults(receivers, http)


def _records(receivers: Receivers, column: str) -> list[Any]:
    return [line[column] for line in read_log(receivers.record(_NAME))]


async def test_a_request_is_recorded_with_whether_it_is_signed(
    gateway: Gateway, receivers: Receivers
) -> None:
    await gateway.send("msg_1")
    await gateway.send("msg_2", secret=f"whsec_{'A' * 32}")

    assert _records(receivers, "message_id") == ["msg_1", "msg_2"]
    assert _records(receivers, "is_signed") == [True, False]


async def test_a_receiver_lies_about_what_it_has_recorded(
    gateway: Gateway, receivers: Receivers
) -> None:
    await receivers.change(_NAME, Behaviour.LIE)

    statuses = [(await gateway.send("msg_1")).status_code for _ in range(2)]
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.send("msg_1")
    statuses.append((await gateway.send("msg_1")).status_code)
    with pytest.raises(httpx.ReadTimeout):
        await gateway.send("msg_1")

    assert statuses == [500, 307, 200]
    assert _records(receivers, "status") == [500, 307, None, 200, 200]


async def test_a_receiver_that_hangs_responds_to_the_next_message(
    gateway: Gateway, receivers: Receivers
) -> None:
    await receivers.change(_NAME, Behaviour.HANG)
    with pytest.raises(httpx.ReadTimeout):
        await gateway.send("msg_1")
    await receivers.change(_NAME, Behaviour.ACCEPT)

    assert (await gateway.send("msg_1")).status_code == 200
    assert _records(receivers, "status") == [None, 200]


async def test_a_receiver_that_was_killed_keeps_its_record(
    gateway: Gateway, receivers: Receivers, faults: EndpointFaults
) -> None:
    await gateway.send("msg_1")
    await faults.kill(_NAME, 0)
    await gateway.send("msg_2")

    assert _records(receivers, "message_id") == ["msg_1", "msg_2"]


async def test_what_an_endpoint_forgets_is_redelivered_once(
    gateway: Gateway, receivers: Receivers, faults: EndpointFaults
) -> None:
    await receivers.change(_NAME, Behaviour.FORGET)
    await gateway.send("msg_1")
    await faults.repair_all()
    await gateway.send("msg_2")
    await faults.repair_all()

    assert _records(receivers, "is_forgotten") == [True, False]
    assert gateway.sent == [("POST /webhook-endpoints/e-1/redeliver", {"message_id": "msg_1"})]


async def test_an_endpoint_that_was_disabled_is_enabled_again(
    gateway: Gateway, faults: EndpointFaults
) -> None:
    gateway.is_enabled = False

    assert await faults.behave(_NAME, Behaviour.GONE, 0) == "0 requests; enabled again"
    assert gateway.sent == [("PATCH /webhook-endpoints/e-1", {"enabled": True})]
    assert (await gateway.send("msg_1")).status_code == 200
