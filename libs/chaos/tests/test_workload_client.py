"""The workload's client: what it retries, and what it logs."""

import asyncio
from pathlib import Path

import httpx
import pytest

from fuze_chaos.workload.client import Request, ResponseCounts, WorkloadClient
from fuze_chaos.workload.request_log import Line, RequestLog, read_log

REQUEST = Request(operation="approve", order_id="1", method="POST", path="/orders/1/approve")


async def _lines_logged_for_a_read(folder: Path, status: int) -> list[Line]:
    log = RequestLog(folder / "client.jsonl")
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"status": "shipped"}))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        await WorkloadClient(http, log, ResponseCounts()).read("/orders/1/status")
    await log.close()
    return await asyncio.to_thread(lambda: list(read_log(folder / "client.jsonl")))


async def test_a_server_error_to_a_read_is_logged(tmp_path: Path) -> None:
    request, response = await _lines_logged_for_a_read(tmp_path, 500)

    assert (request["operation"], request["order_id"], response["status"]) == ("read", "1", 500)


@pytest.mark.parametrize("status", [200, 404])
async def test_a_read_without_a_server_error_is_not_logged(tmp_path: Path, status: int) -> None:
    assert await _lines_logged_for_a_read(tmp_path, status) == []


@pytest.mark.parametrize("first", [503, 429, httpx.ReadError("reset")])
async def test_a_request_is_sent_until_there_is_a_final_response(
    tmp_path: Path, first: int | httpx.ReadError
) -> None:
    outcomes = [first, 202]

    def respond(_: httpx.Request) -> httpx.Response:
        outcome = outcomes.pop(0)
        if isinstance(outcome, httpx.ReadError):
            raise outcome
        return httpx.Response(outcome)

    log = RequestLog(tmp_path / "client.jsonl")
    transport = httpx.MockTransport(respond)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        response = await WorkloadClient(http, log, ResponseCounts()).send(REQUEST)
    await log.close()

    assert response is not None
    assert response.status_code == 202
    logged = await asyncio.to_thread(lambda: list(read_log(tmp_path / "client.jsonl")))
    assert [line.get("request") or line["response_to"] for line in logged] == [1, 1, 2, 2]
