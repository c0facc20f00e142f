"""Bulk commands: the same command to many orders."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from gateway_harness import Serve
from temporalio.client import Client

SMALL = {"address": {"zip_code": "10001"}}


async def place_many(http: httpx.AsyncClient, count: int) -> list[str]:
    ids = [str(uuid4()) for _ in range(count)]
    for order_id in ids:
        await http.post(f"/orders/{order_id}/start", json=SMALL)
    return ids


async def test_each_order_has_its_own_result(gateway: httpx.AsyncClient) -> None:
    ids = await place_many(gateway, 3)
    unknown = str(uuid4())

    response = await gateway.post(
        "/orders/bulk/approve", json={"order_ids": [*ids, unknown], "actor": "grace"}
    )

    body = response.json()
    assert (response.status_code, body["succeeded"], body["failed"]) == (200, 3, 1)
    assert [one["order_id"] for one in body["results"]] == [*ids, unknown]
    assert body["results"][0]["order"]["reason"] == "approve by grace"
    assert body["results"][3]["problem"]["type"] == "/problems/order-not-found"


async def test_many_orders_are_cancelled_with_one_reason(gateway: httpx.AsyncClient) -> None:
    ids = await place_many(gateway, 2)

    response = await gateway.post(
        "/orders/bulk/cancel", json={"order_ids": ids, "reason": "closed"}
    )

    reasons = {one["order"]["reason"] for one in response.json()["results"]}
    assert reasons == {"cancel by unknown: closed"}


async def test_a_rejection_is_the_result_of_its_order(gateway: httpx.AsyncClient) -> None:
    ids = await place_many(gateway, 2)

    response = await gateway.post(
        "/orders/bulk/approve", json={"order_ids": ids, "actor": "mallory"}
    )

    kinds = {one["problem"]["type"] for one in response.json()["results"]}
    assert (response.status_code, kinds) == (200, {"/problems/already-approved"})


@pytest.mark.parametrize(
    "ids",
    [[], [str(UUID(int=7))] * 2, [str(uuid4()) for _ in range(501)], ["1"], "all"],
    ids=["none", "twice", "501", "no uuid", "no list"],
)
async def test_an_invalid_list_of_ids_is_rejected(gateway: httpx.AsyncClient, ids: object) -> None:
    response = await gateway.post("/orders/bulk/approve", json={"order_ids": ids})

    assert response.status_code in {413, 422}


async def test_a_request_accepts_five_hundred_orders(serve: Serve) -> None:
    async with serve(max_body_bytes=65_536) as http:
        ids = [str(uuid4()) for _ in range(500)]

        response = await http.post("/orders/bulk/cancel", json={"order_ids": ids})

    assert (response.status_code, response.json()["failed"]) == (200, 500)


async def test_orders_not_processed_before_the_timeout_are_unavailable(
    serve: Serve, no_temporal: Client
) -> None:
    async with serve(client=no_temporal, bulk_timeout=timedelta(seconds=0.1)) as http:
        response = await http.post(
            "/orders/bulk/cancel", json={"order_ids": [str(uuid4()) for _ in range(50)]}
        )

    statuses = [one["problem"]["status"] for one in response.json()["results"]]
    assert statuses == [503] * 50
