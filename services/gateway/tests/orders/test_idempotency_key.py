"""Placing an order with an idempotency key, and reading it before it is recorded."""

import asyncio
from datetime import timedelta
from uuid import UUID

import httpx
from gateway_harness import Record, Serve
from pydantic import SecretStr

SMALL = {"address": {"zip_code": "10001"}}


async def place(
    http: httpx.AsyncClient, key: str, body: dict[str, object] = SMALL
) -> httpx.Response:
    return await http.post("/orders", json=body, headers={"Idempotency-Key": key})


async def test_the_same_key_returns_the_same_order(gateway: httpx.AsyncClient) -> None:
    first, again = await place(gateway, "cart-1"), await place(gateway, "cart-1")
    other = await place(gateway, "cart-2")

    assert [one.status_code for one in (first, again, other)] == [202] * 3
    assert first.json() == again.json() != other.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == first.json()["status_url"]
    assert UUID(first.json()["order_id"]).version == 8


async def test_an_order_id_cannot_be_derived_from_its_key_without_the_secret(
    gateway: httpx.AsyncClient, serve: Serve
) -> None:
    async with serve(order_id_key=SecretStr("another")) as elsewhere:
        ids = [(await place(http, "cart-0")).json()["order_id"] for http in (gateway, elsewhere)]

    assert ids[0] != ids[1]


async def test_a_different_request_with_the_same_key_is_rejected(
    gateway: httpx.AsyncClient,
) -> None:
    await place(gateway, "cart-3")

    response = await place(gateway, "cart-3", {"address": {"zip_code": "94105"}})

    assert (response.status_code, response.json()["type"]) == (
        422,
        "/problems/idempotency-key-reused",
    )


async def test_fifty_concurrent_requests_place_one_order(gateway: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(place(gateway, "cart-4") for _ in range(50)))

    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["order_id"] for response in responses}) == 1
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1


async def test_a_request_without_a_key_is_rejected(gateway: httpx.AsyncClient) -> None:
    response = await gateway.post("/orders", json=SMALL)

    assert (response.status_code, response.json()["type"]) == (
        400,
        "/problems/idempotency-key-missing",
    )


async def test_an_invalid_key_is_rejected(gateway: httpx.AsyncClient) -> None:
    for key in ("", "two words", "x" * 201):
        assert (await place(gateway, key)).status_code == 422


async def test_two_keys_in_one_request_are_rejected(gateway: httpx.AsyncClient) -> None:
    keys = [("Idempotency-Key", f"cart-{number}") for number in (1, 2)]

    response = await gateway.post("/orders", json={"address": {"zip_code": "10001"}}, headers=keys)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


async def test_an_order_id_in_the_body_is_rejected(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await place(gateway, "cart-5", SMALL | {"order_id": str(order_id)})

    assert response.status_code == 422


async def test_an_accepted_order_is_never_reported_as_not_found(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await gateway.post(f"/orders/{order_id}/start", json=SMALL)
    reading = [
        asyncio.create_task(gateway.get(f"/orders/{order_id}{path}"))
        for path in ("", "/events", "/payments")
    ]
    await asyncio.sleep(0.1)  # their first read has found no row

    await record(order_id)

    assert [(await response).status_code for response in reading] == [200] * 3


async def test_an_order_that_is_not_recorded_in_time_is_unavailable(
    serve: Serve, order_id: UUID
) -> None:
    async with serve(read_timeout=timedelta(seconds=0.5)) as http:
        await http.post(f"/orders/{order_id}/start", json=SMALL)

        response = await http.get(f"/orders/{order_id}")

    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
