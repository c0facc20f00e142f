"""The sandbox carrier over HTTP."""

import httpx
import pytest


async def send(
    http: httpx.AsyncClient, line1: str | None = None, key: str = "key"
) -> httpx.Response:
    body = {
        "shipment_id": "a-shipment",
        "order_id": "an-order",
        "address": {"zip_code": "10001", "line1": line1},
    }
    return await http.post("/carrier/parcels", json=body, headers={"Idempotency-Key": key})


async def count_parcels(http: httpx.AsyncClient) -> int:
    return len((await http.get("/carrier/parcels")).json()["parcels"])


async def test_the_same_key_returns_the_same_parcel(http: httpx.AsyncClient) -> None:
    first, second = await send(http), await send(http)

    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert await count_parcels(http) == 1


@pytest.mark.parametrize(("line1", "status"), [("rejected", 422), ("down", 503)])
async def test_a_magic_address_is_not_accepted(
    http: httpx.AsyncClient, line1: str, status: int
) -> None:
    assert (await send(http, line1)).status_code == status
    assert await count_parcels(http) == 0


async def test_a_reported_delivery_status_is_found_by_the_shipment(http: httpx.AsyncClient) -> None:
    parcel = (await send(http)).json()

    await http.post(f"/carrier/parcels/{parcel['id']}/report", json={"status": "delivered"})

    found = await http.get("/carrier/parcels/search", params={"shipment_id": "a-shipment"})
    assert [one["status"] for one in found.json()["parcels"]] == ["delivered"]


async def test_a_report_about_an_unknown_parcel_is_not_found(http: httpx.AsyncClient) -> None:
    response = await http.post("/carrier/parcels/pcl_1/report", json={"status": "delivered"})

    assert response.status_code == 404
