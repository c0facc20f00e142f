"""The client of REST APIs, against a pool in memory."""

from typing import Any

import pytest

from fuze_bench import clients
from fuze_bench.clients import RestClient
from fuze_bench.http_connection import HttpError, HttpPool
from fuze_bench.load import build_order


class ScriptedPool(HttpPool):
    """Returns these responses, one after another."""

    def __init__(self, *responses: tuple[int, bytes]) -> None:
        super().__init__(port=0)
        self.responses = list(responses)
        self.requests: list[tuple[str, str]] = []

    async def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        del body
        self.requests.append((method, path))
        return self.responses.pop(0)


@pytest.fixture(autouse=True)
def _poll_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "POLL_SECONDS", 0)


def client_of(pool: HttpPool) -> RestClient:
    return RestClient(pool, dsn="", schema="")


async def test_an_order_is_polled_until_it_is_shipped() -> None:
    pool = ScriptedPool((404, b"{}"), (200, b'{"status": "paid"}'), (200, b'{"status": "shipped"}'))

    await client_of(pool).wait_until_shipped("1")

    assert pool.requests == [("GET", "/orders/1")] * 3


async def test_a_request_that_was_answered_with_503_is_repeated_and_counted() -> None:
    pool = ScriptedPool((503, b""), (503, b""), (202, b"{}"))
    client = client_of(pool)

    await client.approve("1")

    assert (client.repeated_requests, len(pool.requests)) == (2, 3)


async def test_another_error_ends_the_run() -> None:
    pool = ScriptedPool((422, b'{"title": "Invalid"}'))

    with pytest.raises(HttpError, match=r"422 .*Invalid"):
        await client_of(pool).start(build_order(0))
