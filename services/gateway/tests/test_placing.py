"""Placing an order under a key of the caller's, as often as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx

Record = Callable[..., Awaitable[None]]
SMALL = {"address": {"zip_code": "10001"}}


async def place(
    http: httpx.AsyncClient, key: str, body: dict[str, object] = SMALL
) -> httpx.Response:
    return await http.post("/orders", json=body, headers={"Idempotency-Key": key})


async def test_the_same_key_is_the_same_order(gateway: httpx.AsyncClient) -> None:
    first, again = await place(gateway, "cart-1"), await place(gateway, "cart-1")
    other = await place(gateway, "cart-2")

    assert [one.status_code for one in (first, again, other)] == [202] * 3
    assert first.json() == again.json() != other.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == first.json()["status_url"]
    assert UUID(first.json()["order_id"]).version == 5


async def test_another_order_under_the_same_key_is_refused(gateway: httpx.AsyncClient) -> None:
    await place(gateway, "cart-3")

    answer = await place(gateway, "cart-3", {"address": {"zip_code": "94105"}})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_fifty_at_once_are_one_order(gateway: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(place(gateway, "cart-4") for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


async def test_without_a_key_nothing_is_placed(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/orders", json=SMALL)

    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/idempotency-key-missing")


async def test_a_key_that_cannot_be_read_is_refused(gateway: httpx.AsyncClient) -> None:
    for key in ("", "two words", "x" * 201):
        assert (await place(gateway, key)).status_code == 422


async def test_of_two_keys_nobody_guesses_which_is_meant(gateway: httpx.AsyncClient) -> None:
    keys = [("Idempotency-Key", f"cart-{number}") for number in (1, 2)]

    answer = await gateway.post("/orders", json={"address": {"zip_code": "10001"}}, headers=keys)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_an_id_of_the_callers_own_belongs_to_the_other_address(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    answer = await place(gateway, "cart-5", SMALL | {"order_id": str(order_id)})

    assert answer.status_code == 422


async def test_an_order_is_not_denied_before_it_is_recorded(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await gateway.post(f"/orders/{order_id}/start", json=SMALL)
    reading = [
        asyncio.create_task(gateway.get(f"/orders/{order_id}{path}"))
        for path in ("", "/events", "/payments")
    ]
    await asyncio.sleep(0.1)  # they have looked in vain by now

    await record(order_id)

    assert [(await answer).status_code for answer in reading] == [200] * 3


async def test_an_order_that_takes_long_to_be_recorded_is_asked_for_again(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await gateway.post(f"/orders/{order_id}/start", json=SMALL)

    answer = await gateway.get(f"/orders/{order_id}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
