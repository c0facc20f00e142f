"""The sandbox payment provider over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

_CHARGE = {
    "amount_minor": 5997,
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "order_id": "an-order",
    "payment_id": "a-payment",
}


async def charge(http: httpx.AsyncClient, key: str = "key", **changes: Any) -> httpx.Response:  # noqa: ANN401 - as JSON
    return await http.post("/psp/charges", json=_CHARGE | changes, headers={"Idempotency-Key": key})


async def refund(
    http: httpx.AsyncClient, charge_id: str, amount_minor: int, key: str
) -> httpx.Response:
    body = {"charge_id": charge_id, "amount_minor": amount_minor, "refund_id": key}
    return await http.post("/psp/refunds", json=body, headers={"Idempotency-Key": key})


async def records(http: httpx.AsyncClient, collection: str, **query: str) -> list[dict[str, Any]]:
    response = await http.get(f"/psp/{collection}", params=query)
    return list(response.json()[collection.partition("/")[0]])


async def test_the_same_key_returns_the_same_charge(http: httpx.AsyncClient) -> None:
    first, second = await charge(http), await charge(http)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(await records(http, "charges")) == 1


async def test_the_same_key_with_another_request_is_a_conflict(http: httpx.AsyncClient) -> None:
    await charge(http)

    assert (await charge(http, amount_minor=1)).status_code == 409


async def test_a_charge_without_a_key_is_rejected(http: httpx.AsyncClient) -> None:
    assert (await http.post("/psp/charges", json=_CHARGE)).status_code == 422


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_declined", "card_declined"),
        ("insufficient_funds", "insufficient_funds"),
        ("pm_fraud", "fraud"),
    ],
)
async def test_a_magic_payment_method_is_declined(
    http: httpx.AsyncClient, method: str, code: str
) -> None:
    declined = (await charge(http, payment_method=method)).json()

    assert (declined["status"], declined["decline_code"]) == ("declined", code)


async def test_an_expired_key_charges_again(http: httpx.AsyncClient) -> None:
    await http.put("/control/psp", json={"idempotency_key_ttl_seconds": 0})
    await charge(http)

    await charge(http)

    assert len(await records(http, "charges")) == 2


async def test_without_idempotency_each_request_charges(http: httpx.AsyncClient) -> None:
    await http.put("/control/psp", json={"idempotency_enabled": False})
    await charge(http)

    await charge(http)

    assert len(await records(http, "charges")) == 2


async def test_refunds_never_exceed_the_charge(http: httpx.AsyncClient) -> None:
    charge_id = (await charge(http)).json()["id"]

    first = await refund(http, charge_id, 5000, "first")
    excessive = await refund(http, charge_id, 998, "second")
    replayed = await refund(http, charge_id, 5000, "first")

    assert first.status_code == 200
    assert excessive.status_code == 422
    assert replayed.json() == first.json()
    assert len(await records(http, "refunds")) == 1


@pytest.mark.parametrize(("breakpoint_", "recorded"), [("before_write", 0), ("after_write", 1)])
async def test_a_refund_is_paused_at_a_breakpoint_until_it_is_released(
    http: httpx.AsyncClient, breakpoint_: str, recorded: int
) -> None:
    charge_id = (await charge(http)).json()["id"]
    await http.put("/control/psp", json={"pause_at": breakpoint_})
    request = asyncio.ensure_future(refund(http, charge_id, 1999, "refund"))
    async with asyncio.timeout(10):
        while not (await http.get("/control/psp")).json()["paused_requests"]:
            await asyncio.sleep(0.01)
    assert len(await records(http, "refunds")) == recorded

    await http.put("/control/psp", json={})

    assert (await request).json()["status"] == "refunded"


async def test_a_charge_under_review_can_be_voided_and_then_not_decided(
    http: httpx.AsyncClient,
) -> None:
    charge_id = (await charge(http, payment_method="pm_under_review")).json()["id"]

    voided = await http.post(f"/psp/charges/{charge_id}/void")
    decided = await http.post(f"/psp/charges/{charge_id}/decide", json={"status": "charged"})

    assert voided.json()["status"] == "voided"
    assert decided.status_code == 409


async def test_only_records_after_a_given_time_are_listed(http: httpx.AsyncClient) -> None:
    old, new = [(await charge(http, key)).json() for key in ("old", "new")]

    for path in ("charges", "charges/search"):
        query = {"created_after": old["created_at"], "payment_id": "a-payment"}
        assert await records(http, path, **query) == [new]
    assert await records(http, "charges", created_after=new["created_at"]) == []
