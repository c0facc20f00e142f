"""The same decision about many orders."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from stand_in import Serve
from temporalio.client import Client

SMALL = {"address": {"zip_code": "10001"}}


async def placed(http: httpx.AsyncClient, count: int) -> list[str]:
    ids = [str(uuid4()) for _ in range(count)]
    for order_id in ids:
        await http.post(f"/orders/{order_id}/start", json=SMALL)
    return ids


async def test_each_order_says_what_became_of_it(gateway: httpx.AsyncClient) -> None:
    ids = await placed(gateway, 3)
    absent = str(uuid4())

    answer = await gateway.post(
        "/orders/bulk/approve", json={"order_ids": [*ids, absent], "actor": "grace"}
    )

    told = answer.json()
    assert (answer.status_code, told["accepted"], told["refused"]) == (200, 3, 1)
    assert [one["order_id"] for one in told["results"]] == [*ids, absent]
    assert told["results"][0]["order"]["reason"] == "approve by grace"
    assert told["results"][3]["problem"]["type"] == "/problems/order-not-found"


async def test_many_are_cancelled_with_one_reason(gateway: httpx.AsyncClient) -> None:
    ids = await placed(gateway, 2)

    answer = await gateway.post("/orders/bulk/cancel", json={"order_ids": ids, "reason": "closed"})

    reasons = {one["order"]["reason"] for one in answer.json()["results"]}
    assert reasons == {"cancel by unknown: closed"}


async def test_a_refusal_of_one_is_its_own(gateway: httpx.AsyncClient) -> None:
    ids = await placed(gateway, 2)

    answer = await gateway.post("/orders/bulk/approve", json={"order_ids": ids, "actor": "nobody"})

    kinds = {one["problem"]["type"] for one in answer.json()["results"]}
    assert (answer.status_code, kinds) == (200, {"/problems/already-approved"})


@pytest.mark.parametrize(
    "ids",
    [[], [str(UUID(int=7))] * 2, [str(uuid4()) for _ in range(501)], ["1"], "all"],
    ids=["none", "twice", "501", "no uuid", "no list"],
)
async def test_a_list_that_cannot_be_meant_is_refused(
    gateway: httpx.AsyncClient, ids: object
) -> None:
    answer = await gateway.post("/orders/bulk/approve", json={"order_ids": ids})

    assert answer.status_code in {413, 422}


async def test_five_hundred_orders_fit_into_one_request(serve: Serve) -> None:
    async with serve(max_body_bytes=65_536) as http:
        ids = [str(uuid4()) for _ in range(500)]

        answer = await http.post("/orders/bulk/cancel", json={"order_ids": ids})

    assert (answer.status_code, answer.json()["refused"]) == (200, 500)


async def test_what_the_time_does_not_suffice_for_is_unavailable(
    serve: Serve, no_temporal: Client
) -> None:
    async with serve(client=no_temporal, bulk_timeout=timedelta(seconds=0.1)) as http:
        answer = await http.post(
            "/orders/bulk/cancel", json={"order_ids": [str(uuid4()) for _ in range(50)]}
        )

    statuses = [one["problem"]["status"] for one in answer.json()["results"]]
    assert statuses == [503] * 50
