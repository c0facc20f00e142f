"""The sandbox keeps books that can be trusted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fuze_devstack.sandbox.app import create_app
from fuze_devstack.sandbox.books import Books

_CHARGE = {
    "amount_minor": 5997,
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "order_id": "an-order",
    "payment_id": "a-payment",
}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    books = Books(tmp_path)
    transport = httpx.ASGITransport(create_app(books))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client
    books.close()


async def _charge(http: httpx.AsyncClient, key: str = "key", **changes: Any) -> httpx.Response:  # noqa: ANN401 - as JSON
    return await http.post("/psp/charges", json=_CHARGE | changes, headers={"Idempotency-Key": key})


async def test_the_same_key_gets_the_same_charge(http: httpx.AsyncClient) -> None:
    first, second = await _charge(http), await _charge(http)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await http.get("/psp/charges")).json()["charges"]) == 1


async def test_the_same_key_for_something_else_is_refused(http: httpx.AsyncClient) -> None:
    await _charge(http)

    assert (await _charge(http, amount_minor=1)).status_code == 409


async def test_a_charge_without_a_key_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/psp/charges", json=_CHARGE)).status_code == 422


@pytest.mark.parametrize("method", ["pm_declined", "insufficient_funds", "pm_fraud"])
async def test_a_magic_payment_method_is_declined(http: httpx.AsyncClient, method: str) -> None:
    charge = (await _charge(http, payment_method=method)).json()

    assert charge["status"] == "declined"
    assert charge["decline_code"]


async def test_while_it_is_down_nothing_is_promised(http: httpx.AsyncClient) -> None:
    await http.put("/control/psp", json={"available": False})

    assert (await _charge(http)).status_code == 503
    await http.put("/control/psp", json={"available": True})
    assert (await http.get("/psp/charges")).json()["charges"] == []


async def test_the_books_are_there_after_a_restart(tmp_path: Path) -> None:
    books = Books(tmp_path)
    written = books.write("charges", "ch", "key", {"a": 1}, {"status": "succeeded"})
    books.close()

    again = Books(tmp_path)
    replayed = again.write("charges", "ch", "key", {"a": 1}, {"status": "other"})
    again.close()

    assert (replayed.entry, replayed.replayed) == (written.entry, True)
