"""The store's records: durable, created once per key, and found by indexes."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fuze_sandbox.store import KeyReusedError, SandboxStore


def create(store: SandboxStore, collection: str, key: str, **fields: Any) -> str:  # noqa: ANN401 - as JSON
    """Create a record, and return its id."""
    record_id: str = store.create(collection, key, {}, fields).record["id"]
    return record_id


def test_records_outlast_a_restart(tmp_path: Path) -> None:
    store = SandboxStore(tmp_path)
    created = store.create("charges", "key", {"a": 1}, {"status": "charged"})
    store.close()

    reopened = SandboxStore(tmp_path)
    replayed = reopened.create("charges", "key", {"a": 1}, {"status": "other"})
    reopened.close()

    assert (replayed.record, replayed.replayed) == (created.record, True)


def test_a_key_with_another_request_is_an_error(store: SandboxStore) -> None:
    store.create("charges", "key", {"a": 1}, {})

    with pytest.raises(KeyReusedError):
        store.create("charges", "key", {"a": 2}, {})


def test_an_expired_key_creates_another_record(store: SandboxStore) -> None:
    first = store.create("charges", "key", {}, {})

    second = store.create("charges", "key", {}, {}, key_ttl_seconds=0)

    assert not second.replayed
    assert [one["id"] for one in store.find("charges")] == [first.record["id"], second.record["id"]]


def test_records_are_found_by_every_filter_oldest_first(store: SandboxStore) -> None:
    first = create(store, "charges", "1", order_id="a", status="under_review")
    second = create(store, "charges", "2", order_id="a", status="charged", payment_id="ü'\"☃")
    third = create(store, "charges", "3", order_id="b", status="charged", payment_id=None)
    create(store, "refunds", "4", order_id="a", status="charged")

    def found(**filters: str | None) -> list[str]:
        return [one["id"] for one in store.find("charges", **filters)]

    assert found() == [first, second, third]
    assert found(order_id="a", payment_id=None) == [first, second]
    assert found(order_id="a", status="charged") == [second]
    assert found(payment_id="ü'\"☃") == [second]
    assert found(shipment_id="a") == []
    store.update(first, status="charged")
    assert found(status="charged") == [first, second, third]
    with pytest.raises(KeyError):
        found(amount_minor="1")


@pytest.mark.parametrize(
    "name",
    ["order_id", "payment_id", "shipment_id", "charge_id", "refund_id", "status", "created_after"],
)
def test_every_filter_uses_its_index(store: SandboxStore, name: str) -> None:
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    store.find("charges", **{name: "2020"})
    store._db.set_trace_callback(None)

    [statement] = statements
    [plan, *_] = store._db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()

    assert f"INDEX records_by_{name.replace('after', 'at')} (collection=? AND <expr>" in plan[3]


def test_missing_indexes_are_created_when_the_store_is_opened(tmp_path: Path) -> None:
    query = "SELECT name FROM sqlite_master WHERE name LIKE 'records_by%' ORDER BY name"
    SandboxStore(tmp_path).close()
    db = sqlite3.connect(tmp_path / "sandbox.db")
    indexes = db.execute(query).fetchall()
    for [index] in indexes:
        db.execute(f"DROP INDEX {index}")
    db.close()

    reopened = SandboxStore(tmp_path)
    found = reopened._db.execute(query).fetchall()
    reopened.close()

    assert found == indexes != []
