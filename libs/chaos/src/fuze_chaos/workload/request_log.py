"""The client's request log: every request and response, synced to disk before it counts."""

import asyncio
import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class RequestLog:
    """JSON lines, each synced before `write` returns; concurrent writers share one fsync."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._pending: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, line: Line) -> None:
        """Return once the line is on disk."""
        written = asyncio.get_running_loop().create_future()
        self._pending.append((json.dumps(line).encode() + b"\n", written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def close(self) -> None:
        """Write pending lines and close the file."""
        if self._writing is not None:
            await self._writing
        self._file.close()

    async def _write_all(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            await asyncio.to_thread(self._sync, b"".join(line for line, _ in batch))
            for _, written in batch:
                if not written.done():  # the writer may have been cancelled
                    written.set_result(None)
        self._writing = None

    def _sync(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())


def read_log(path: Path) -> Iterator[Line]:
    """Yield the lines; a last line without its newline was not synced and is skipped."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def accepted_orders(path: Path) -> set[str]:
    """Return the ids of the orders for which the client has received a 202."""
    requests = set()
    accepted = set()
    for line in read_log(path):
        if line.get("operation") == "place" and not line["is_key_reuse"]:
            requests.add(line["request"])
        elif line.get("response_to") in requests and line.get("status") == HTTPStatus.ACCEPTED:
            accepted.add(line["body"]["order_id"])
    return accepted
