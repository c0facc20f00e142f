"""The books: SQLite, synced to disk before any answer, so that they are the outside truth."""

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
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    book TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    entry TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    book TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    id TEXT NOT NULL,
    used_at REAL NOT NULL,
    PRIMARY KEY (book, key)
);
CREATE TABLE IF NOT EXISTS availability (part TEXT PRIMARY KEY, available INTEGER NOT NULL);
"""
_LOOKED_UP = ("order_id", "payment_id", "shipment_id", "charge_id", "refund_id", "status")
# SQLite uses such an index only for the very expression that it was made with.
_FIELDS = {name: f"json_extract(entry, '$.{name}')" for name in (*_LOOKED_UP, "created_at")}
_INDEXES = "".join(
    f"CREATE INDEX IF NOT EXISTS entries_by_{name} ON entries (book, {field});\n"
    for name, field in _FIELDS.items()
)

Entry = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """An entry of the books, and whether an earlier request had made it."""

    entry: Entry
    replayed: bool


class KeyReusedError(Exception):
    """The idempotency key came before with another request."""


class Books:
    """Everything that the sandbox's provider and carrier ever promised.

    `keep_keys_seconds` is how long an idempotency key is remembered; real providers forget too.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.keep_keys_seconds: float | None = None
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "books.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA + _INDEXES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def write(self, book: str, prefix: str, key: str, request: Entry, promise: Entry) -> Written:
        """Write `promise` under `key`, or return what was written under it before.

        Raises:
            KeyReusedError: the key came before with another request.

        """
        with self._lock:
            if remembered := self.remembered(book, key, request):
                return Written(remembered, replayed=True)
            entry = {
                "id": f"{prefix}_{uuid.uuid4().hex[:20]}",
                **promise,
                "idempotency_key": key,
                "created_at": datetime.now(UTC).isoformat(),
            }
            with self._db:
                self._db.execute(
                    "INSERT INTO entries (book, id, entry) VALUES (?, ?, ?)",
                    (book, entry["id"], json.dumps(entry)),
                )
                self._db.execute(
                    "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                    (book, key, _canonical(request), entry["id"], time.time()),
                )
            return Written(entry, replayed=False)

    def remembered(self, book: str, key: str, request: Entry) -> Entry | None:
        """Return the entry that this key made, or None while it is unknown or forgotten.

        Raises:
            KeyReusedError: the key came before with another request.

        """
        with self._lock:
            row = self._db.execute(
                "SELECT request, id, used_at FROM keys WHERE book = ? AND key = ?", (book, key)
            ).fetchone()
            if row is None:
                return None
            before, entry_id, used_at = row
            if (
                self.keep_keys_seconds is not None
                and time.time() - used_at > self.keep_keys_seconds
            ):
                return None
            if before != _canonical(request):
                raise KeyReusedError
            return self.entry(entry_id)

    def entry(self, entry_id: str) -> Entry | None:
        """Return one entry by its id."""
        with self._lock:
            row = self._db.execute("SELECT entry FROM entries WHERE id = ?", (entry_id,)).fetchone()
        return json.loads(row[0]) if row else None

    def change(self, entry_id: str, **changes: object) -> Entry | None:
        """Change fields of an entry: a held charge that is decided, a charge that is voided."""
        with self._lock, self._db:
            entry = self.entry(entry_id)
            if entry is None:
                return None
            entry |= changes
            self._db.execute(
                "UPDATE entries SET entry = ? WHERE id = ?", (json.dumps(entry), entry_id)
            )
            return entry

    def read(self, book: str, *, created_after: str = "", **wanted: str | None) -> list[Entry]:
        """Return a book's entries, oldest first, that have every wanted value; None is any.

        `created_after` is a moment in ISO 8601, UTC, as the entries have it.

        Raises:
            KeyError: a wanted name is not one that entries are looked up by.

        """
        parts = ["SELECT entry FROM entries WHERE book = ?"]
        values = [book]
        for name, value in wanted.items():
            if value is not None:
                parts.append(f"{_FIELDS[name]} = ?")
                values.append(value)
        if created_after:
            parts.append(f"{_FIELDS['created_at']} > ?")
            values.append(created_after)
        with self._lock:
            rows = self._db.execute(f"{' AND '.join(parts)} ORDER BY position", values).fetchall()
        return [json.loads(row[0]) for row in rows]

    def available(self, part: str) -> bool:
        """Whether the part answers; an outage lasts over a restart."""
        with self._lock:
            row = self._db.execute(
                "SELECT available FROM availability WHERE part = ?", (part,)
            ).fetchone()
        return row is None or bool(row[0])

    def set_available(self, part: str, *, available: bool) -> None:
        """Begin or end an outage."""
        with self._lock, self._db:
            self._db.execute(
                "INSERT INTO availability VALUES (?, ?)"
                " ON CONFLICT (part) DO UPDATE SET available = excluded.available",
                (part, available),
            )


def _canonical(request: Entry) -> str:
    return json.dumps(request, sort_keys=True)
