"""Signals to an order, which do not wait for the outcome."""

from uuid import UUID

import httpx
import pytest
from gateway_harness import Eventually, Record

SMALL = {"address": {"zip_code": "10001"}}
BODIES = {"approve": None, "cancel": None, "change-address": {"address": {"zip_code": "94105"}}}


async def place(http: httpx.AsyncClient, order_id: UUID, zip_code: str = "10001") -> None:
    response = await http.post(
        f"/orders/{order_id}/start", json={"address": {"zip_code": zip_code}}
    )
    assert response.status_code == 202


async def send(http: httpx.AsyncClient, order_id: UUID, signal: str) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/signals/{signal}", json=BODIES[signal])


@pytest.mark.parametrize("signal", BODIES)
async def test_a_running_order_accepts_a_signal(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, signal)

    assert response.status_code == 202
    assert response.json() == {
        "order_id": str(order_id),
        "accepted": True,
        "signal": signal,
        "status_url": f"/orders/{order_id}/status",
    }


@pytest.mark.parametrize("signal", ["approve", "cancel"])
async def test_a_signal_without_required_fields_needs_no_body_and_no_content_type(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    assert (await gateway.post(f"/orders/{order_id}/signals/{signal}")).status_code == 202


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_to_an_unknown_order_is_not_found(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    response = await send(gateway, order_id, signal)

    assert response.status_code == 404
    assert response.json()["type"] == "/problems/order-not-found"


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_to_a_closed_order_is_a_conflict(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually, signal: str
) -> None:
    await place(gateway, order_id)
    await send(gateway, order_id, "approve")

    async def is_rejected() -> bool:
        return (await send(gateway, order_id, signal)).status_code == 409

    await eventually(is_rejected)


async def test_an_order_after_temporals_retention_is_closed_not_unknown(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="shipped")

    response = await send(gateway, order_id, "cancel")

    assert (response.status_code, response.json()["type"]) == (409, "/problems/order-closed")


async def test_the_new_address_reaches_the_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)
    await send(gateway, order_id, "change-address")

    status = (await gateway.get(f"/orders/{order_id}/status")).json()

    assert status["reason"] == "94105"  # the fake workflow reports its zip code there


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_is_unavailable_without_temporal(
    without_temporal: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    response = await send(without_temporal, order_id, signal)

    assert response.status_code == 503
    assert response.headers["retry-after"]
