"""The books: SQLite, synced to disk before any answer, so that they are the outside truth."""

import json
import sqlite3
import threading
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
    idempotency_key TEXT NOT NULL,
    request TEXT NOT NULL,
    entry TEXT NOT NULL,
    UNIQUE (book, idempotency_key)
);
CREATE TABLE IF NOT EXISTS availability (part TEXT PRIMARY KEY, available INTEGER NOT NULL);
"""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """An entry of the books, and whether an earlier request had made it."""

    entry: Entry
    replayed: bool


class KeyReusedError(Exception):
    """The idempotency key came before with another request."""


class Books:
    """Everything that the sandbox's provider and carrier ever promised."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.delays: dict[str, float] = {}
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "books.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def write(self, book: str, prefix: str, key: str, request: Entry, promise: Entry) -> Written:
        """Write `promise` under `key`, or return what was written under it before.

        Raises:
            KeyReusedError: the key came before with another request.

        """
        asked = json.dumps(request, sort_keys=True)
        entry = {
            "id": f"{prefix}_{uuid.uuid4().hex[:20]}",
            **promise,
            "idempotency_key": key,
            "created_at": datetime.now(UTC).isoformat(),
        }
        with self._lock, self._db:
            inserted = self._db.execute(
                "INSERT INTO entries (book, id, idempotency_key, request, entry)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (book, entry["id"], key, asked, json.dumps(entry)),
            )
            if inserted.rowcount == 1:
                return Written(entry, replayed=False)
            before, stored = self._db.execute(
                "SELECT request, entry FROM entries WHERE book = ? AND idempotency_key = ?",
                (book, key),
            ).fetchone()
        if before != asked:
            raise KeyReusedError
        return Written(json.loads(stored), replayed=True)

    def read(self, book: str, **wanted: str | None) -> list[Entry]:
        """Return a book's entries, oldest first, that have every wanted value."""
        with self._lock:
            rows = self._db.execute(
                "SELECT entry FROM entries WHERE book = ? ORDER BY position", (book,)
            ).fetchall()
        entries = [json.loads(row[0]) for row in rows]
        filters = {name: value for name, value in wanted.items() if value is not None}
        return [
            entry
            for entry in entries
            if all(entry.get(name) == value for name, value in filters.items())
        ]

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
