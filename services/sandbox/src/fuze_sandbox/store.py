"""The sandbox's records: SQLite, synced to disk before any response is sent."""

import json
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    record_id TEXT NOT NULL,
    used_at REAL NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE TABLE IF NOT EXISTS availability (part TEXT PRIMARY KEY, available INTEGER NOT NULL);
"""
_ID_PREFIXES = {"charges": "ch", "refunds": "re", "parcels": "pcl"}
_FILTERS = ("order_id", "payment_id", "shipment_id", "charge_id", "refund_id", "status")
# SQLite uses an expression index only for exactly the same expression.
_FIELDS = {name: f"json_extract(record, '$.{name}')" for name in (*_FILTERS, "created_at")}
_INDEXES = "".join(
    f"CREATE INDEX IF NOT EXISTS records_by_{name} ON records (collection, {field});\n"
    for name, field in _FIELDS.items()
)

Record = dict[str, Any]


@dataclass(frozen=True)
class CreateResult:
    """A record, and whether an earlier request with the same key had created it."""

    record: Record
    replayed: bool


class KeyReusedError(Exception):
    """The idempotency key was used before with another request."""


class SandboxStore:
    """Collections of JSON records, and the availability of the sandbox's parts.

    Each record has an `id`, its `idempotency_key`, and `created_at` in ISO 8601, UTC.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "sandbox.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA + _INDEXES)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def create(
        self,
        collection: str,
        key: str,
        request: Record,
        fields: Record,
        *,
        key_ttl_seconds: float | None = None,
    ) -> CreateResult:
        """Create a record under an idempotency key, or return the one created under it before.

        Keys expire after `key_ttl_seconds`; None keeps them.

        Raises:
            KeyReusedError: the key was used before with another request.

        """
        with self._lock:
            if known := self.find_by_key(collection, key, request, key_ttl_seconds=key_ttl_seconds):
                return CreateResult(known, replayed=True)
            record = {
                "id": f"{_ID_PREFIXES[collection]}_{uuid.uuid4().hex[:20]}",
                **fields,
                "idempotency_key": key,
                "created_at": datetime.now(UTC).isoformat(),
            }
            with self._db:
                self._db.execute(
                    "INSERT INTO records (collection, id, record) VALUES (?, ?, ?)",
                    (collection, record["id"], json.dumps(record)),
                )
                self._db.execute(
                    "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
                    (collection, key, _to_canonical_json(request), record["id"], time.time()),
                )
            return CreateResult(record, replayed=False)

    def find_by_key(
        self, collection: str, key: str, request: Record, *, key_ttl_seconds: float | None = None
    ) -> Record | None:
        """Return the record that was created under this key, or None if unknown or expired.

        Raises:
            KeyReusedError: the key was used before with another request.

        """
        with self._lock:
            row = self._db.execute(
                "SELECT request, record_id, used_at FROM idempotency_keys"
                " WHERE collection = ? AND key = ?",
                (collection, key),
            ).fetchone()
            if row is None:
                return None
            known_request, record_id, used_at = row
            if key_ttl_seconds is not None and time.time() - used_at > key_ttl_seconds:
                return None
            if known_request != _to_canonical_json(request):
                raise KeyReusedError
            return self.get(record_id)

    def get(self, record_id: str) -> Record | None:
        """Return a record by its id."""
        with self._lock:
            row = self._db.execute(
                "SELECT record FROM records WHERE id = ?", (record_id,)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def update(self, record_id: str, **changes: object) -> Record | None:
        """Change fields of a record, and return it; None if there is no such record."""
        with self._lock, self._db:
            record = self.get(record_id)
            if record is None:
                return None
            record |= changes
            self._db.execute(
                "UPDATE records SET record = ? WHERE id = ?", (json.dumps(record), record_id)
            )
            return record

    def find(
        self, collection: str, *, created_after: str = "", **filters: str | None
    ) -> list[Record]:
        """Return a collection's records, oldest first, that match every filter that is not None.

        `created_after` is a time in ISO 8601, UTC.

        Raises:
            KeyError: a filter is not one of the indexed fields.

        """
        conditions = ["collection = ?"]
        values = [collection]
        for name, value in filters.items():
            if value is not None:
                conditions.append(f"{_FIELDS[name]} = ?")
                values.append(value)
        if created_after:
            conditions.append(f"{_FIELDS['created_at']} > ?")
            values.append(created_after)
        query = f"SELECT record FROM records WHERE {' AND '.join(conditions)} ORDER BY position"  # noqa: S608 - fixed expressions
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [json.loads(row[0]) for row in rows]

    def is_available(self, part: str) -> bool:
        """Return whether the part is available; an outage outlasts a restart."""
        with self._lock:
            row = self._db.execute(
                "SELECT available FROM availability WHERE part = ?", (part,)
            ).fetchone()
        return row is None or bool(row[0])

    def set_available(self, part: str, *, available: bool) -> None:
        """Begin or end an outage of the part."""
        with self._lock, self._db:
            self._db.execute(
                "INSERT INTO availability VALUES (?, ?)"
                " ON CONFLICT (part) DO UPDATE SET available = excluded.available",
                (part, available),
            )


def _to_canonical_json(request: Record) -> str:
    return json.dumps(request, sort_keys=True)
