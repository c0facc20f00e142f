"""The client's own book: what was asked and what was answered, on disk before it counts."""

import asyncio
import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Journal:
    """Lines of JSON that are synced before `write` returns; many writers share one sync."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, line: Line) -> None:
        """Return once the line is on disk."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line).encode() + b"\n", written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def close(self) -> None:
        """Write what is left."""
        if self._writing is not None:
            await self._writing
        self._file.close()

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._sync, b"".join(line for line, _ in batch))
            for _, written in batch:
                if not written.done():  # whoever waited may be gone
                    written.set_result(None)
        self._writing = None

    def _sync(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())


def read(path: Path) -> Iterator[Line]:
    """Yield the lines; one that was cut short by a crash is not one."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def promised_orders(client_log: Path) -> set[str]:
    """Return the ids of the orders that the client was told will be worked on."""
    asked = {}
    promised = set()
    for line in read(client_log):
        if line.get("what") == "place" and not line["misuse"]:
            asked[line["ask"]] = line
        elif line.get("answer_to") in asked and line.get("status") == HTTPStatus.ACCEPTED:
            promised.add(line["body"]["order_id"])
    return promised
