"""Telling an order something."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest

Record = Callable[..., Awaitable[None]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

SMALL = {"address": {"zip_code": "10001"}}
BODIES = {"approve": None, "cancel": None, "change-address": {"address": {"zip_code": "94105"}}}


async def place(http: httpx.AsyncClient, order_id: UUID, zip_code: str = "10001") -> None:
    answer = await http.post(f"/orders/{order_id}/start", json={"address": {"zip_code": zip_code}})
    assert answer.status_code == 202


async def tell(http: httpx.AsyncClient, order_id: UUID, signal: str) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/signals/{signal}", json=BODIES[signal])


@pytest.mark.parametrize("signal", BODIES)
async def test_a_running_order_hears_a_signal(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    answer = await tell(gateway, order_id, signal)

    assert answer.status_code == 202
    assert answer.json() == {
        "order_id": str(order_id),
        "accepted": True,
        "signal": signal,
        "status_url": f"/orders/{order_id}/status",
    }


@pytest.mark.parametrize("signal", ["approve", "cancel"])
async def test_a_signal_needs_neither_a_body_nor_a_content_type(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    assert (await gateway.post(f"/orders/{order_id}/signals/{signal}")).status_code == 202


@pytest.mark.parametrize("signal", BODIES)
async def test_an_order_nobody_placed_hears_nothing(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    answer = await tell(gateway, order_id, signal)

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/order-not-found"


@pytest.mark.parametrize("signal", BODIES)
async def test_an_order_that_has_ended_hears_nothing(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually, signal: str
) -> None:
    await place(gateway, order_id)
    await tell(gateway, order_id, "approve")

    async def refused() -> bool:
        return (await tell(gateway, order_id, signal)).status_code == 409

    await eventually(refused)


async def test_the_row_knows_an_order_that_temporal_has_forgotten(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="shipped")

    answer = await tell(gateway, order_id, "cancel")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-closed")


async def test_the_new_address_reaches_the_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)
    await tell(gateway, order_id, "change-address")

    status = (await gateway.get(f"/orders/{order_id}/status")).json()

    assert status["reason"] == "94105"  # the stand-in says its address there


@pytest.mark.parametrize("signal", BODIES)
async def test_without_temporal_a_signal_is_not_accepted(
    without_temporal: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    answer = await tell(without_temporal, order_id, signal)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
