"""The client of a chaos run: what it writes down of what it asks."""

import asyncio
from pathlib import Path

import httpx
import pytest

from fuze_chaos import journal
from fuze_chaos.caller import Caller, Tally
from fuze_chaos.journal import Journal


async def _written(folder: Path, status: int) -> list[journal.Line]:
    own = Journal(folder / "client.jsonl")
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"status": "shipped"}))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        await Caller(http, own, Tally()).peek("/orders/1/status")
    await own.close()
    return await asyncio.to_thread(lambda: list(journal.read(folder / "client.jsonl")))


async def test_a_server_error_to_a_read_is_written_down(tmp_path: Path) -> None:
    asked, answered = await _written(tmp_path, 500)

    assert (asked["what"], asked["order_id"], answered["status"]) == ("read", "1", 500)


@pytest.mark.parametrize("status", [200, 404])
async def test_a_read_that_is_answered_leaves_no_trace(tmp_path: Path, status: int) -> None:
    assert await _written(tmp_path, status) == []
