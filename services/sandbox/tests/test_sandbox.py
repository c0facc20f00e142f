"""The sandbox keeps books that can be trusted."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fuze_sandbox.app import create_app
from fuze_sandbox.books import Books

_CHARGE = {
    "amount_minor": 5997,
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "order_id": "an-order",
    "payment_id": "a-payment",
}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = Books(tmp_path)
    yield books
    books.close()


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


def _write(books: Books, book: str, key: str, **promise: Any) -> str:  # noqa: ANN401 - as JSON
    entry_id: str = books.write(book, "x", key, {}, promise).entry["id"]
    return entry_id


def test_entries_are_looked_up_by_every_wanted_value_oldest_first(books: Books) -> None:
    first = _write(books, "charges", "1", order_id="a", status="under_review")
    second = _write(books, "charges", "2", order_id="a", status="charged", payment_id="ü'\"☃")
    third = _write(books, "charges", "3", order_id="b", status="charged", payment_id=None)
    _write(books, "refunds", "4", order_id="a", status="charged")

    def found(**wanted: str | None) -> list[str]:
        return [one["id"] for one in books.read("charges", **wanted)]

    assert found() == [first, second, third]
    assert found(order_id="a", payment_id=None) == [first, second]
    assert found(order_id="a", status="charged") == [second]
    assert found(payment_id="ü'\"☃") == [second]
    assert found(shipment_id="a") == []
    books.change(first, status="charged")
    assert found(status="charged") == [first, second, third]
    with pytest.raises(KeyError):
        found(amount_minor="1")


async def test_only_what_is_newer_is_listed_when_that_is_asked_for(http: httpx.AsyncClient) -> None:
    old, new = [(await _charge(http, key)).json() for key in ("old", "new")]

    for path in ("/psp/charges", "/psp/charges/search"):
        after = {"created_after": old["created_at"], "payment_id": "a-payment"}
        assert (await http.get(path, params=after)).json()["charges"] == [new]
    after = {"created_after": new["created_at"]}
    assert (await http.get("/psp/charges", params=after)).json()["charges"] == []


@pytest.mark.parametrize(
    "asked",
    ["order_id", "payment_id", "shipment_id", "charge_id", "refund_id", "status", "created_after"],
)
def test_a_look_up_reads_only_what_it_is_about(books: Books, asked: str) -> None:
    said: list[str] = []
    books._db.set_trace_callback(said.append)
    books.read("charges", **{asked: "2020"})
    books._db.set_trace_callback(None)

    [statement] = said
    [plan, *_] = books._db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()

    assert f"INDEX entries_by_{asked.replace('after', 'at')} (book=? AND <expr>" in plan[3]


def test_books_of_an_older_sandbox_are_looked_up_in_too(tmp_path: Path) -> None:
    books = Books(tmp_path)
    written = _write(books, "charges", "key", order_id="a")
    books.close()
    db = sqlite3.connect(tmp_path / "books.db")
    indexes = "SELECT name FROM sqlite_master WHERE name LIKE 'entries_by%'"
    for [index] in db.execute(indexes).fetchall():
        db.execute(f"DROP INDEX {index}")
    db.close()

    books = Books(tmp_path)
    found = [one["id"] for one in books.read("charges", order_id="a")]
    books.close()

    assert found == [written]
