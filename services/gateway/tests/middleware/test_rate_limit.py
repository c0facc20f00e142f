"""The rate limits of callers, and of failed authentications."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from gateway_harness import MakeKey, Serve, bearer
from limits import parse_many
from pydantic import SecretStr
from structlog.testing import capture_logs

from fuze_gateway import rate_limiter
from fuze_gateway.rate_limiter import InMemoryCounter, get_client_network

_UNKNOWN = bearer(f"fz_{'0' * 12}_{'0' * 64}")


async def test_a_caller_above_the_rate_limit_is_rejected_with_the_time_to_wait(
    serve: Serve, make_key: MakeKey
) -> None:
    busy, other = bearer(await make_key()), bearer(await make_key())
    async with serve(authentication="required", rate_limit="3/minute") as http:
        responses = [await http.get("/orders", headers=busy) for _ in range(4)]
        unaffected = await http.get("/orders", headers=other)

    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert 0 < int(responses[-1].headers["retry-after"]) <= 60
    assert responses[-1].json()["type"] == "/problems/rate-limit-exceeded"
    assert unaffected.status_code == 200


async def test_requests_are_not_limited_while_redis_is_unavailable(
    serve: Serve, make_key: MakeKey, closed_port: int
) -> None:
    key = bearer(await make_key())
    redis = SecretStr(f"redis://127.0.0.1:{closed_port}")
    async with serve(authentication="required", rate_limit_storage=redis) as http:
        assert (await http.get("/orders", headers=key)).status_code == 200


async def test_a_bulk_request_counts_as_one_request_for_each_order(
    serve: Serve, make_key: MakeKey
) -> None:
    key = bearer(await make_key())
    order_ids = [str(uuid4()) for _ in range(5)]
    async with serve(authentication="required", rate_limit="3/day") as http:
        response = await http.post(
            "/orders/bulk/cancel", json={"order_ids": order_ids}, headers=key
        )
        after = await http.get("/orders", headers=key)

    types = [result["problem"]["type"] for result in response.json()["results"]]
    assert types.count("/problems/order-not-found") == 3
    assert types.count("/problems/rate-limit-exceeded") == 2
    assert after.status_code == 429


async def test_a_bulk_request_waits_for_the_rate_limit(serve: Serve, make_key: MakeKey) -> None:
    key = bearer(await make_key())
    order_ids = [str(uuid4()) for _ in range(5)]
    async with serve(authentication="required", rate_limit="3/second") as http:
        response = await http.post(
            "/orders/bulk/cancel", json={"order_ids": order_ids}, headers=key
        )

    types = {result["problem"]["type"] for result in response.json()["results"]}
    assert types == {"/problems/order-not-found"}


async def test_failed_authentications_are_limited_by_address_and_logged(
    serve: Serve, make_key: MakeKey
) -> None:
    known, new = bearer(await make_key()), bearer(await make_key())
    limits = {"authentication": "required", "failed_authentication_limit": "2/day"}
    async with serve(**limits) as http:
        accepted = await http.get("/orders", headers=known)
        with capture_logs() as logs:
            failed = [await http.get("/orders", headers=_UNKNOWN) for _ in range(3)]
        still_accepted = await http.get("/orders", headers=known)
        never_seen = await http.get("/orders", headers=new)

    assert [response.status_code for response in failed] == [401, 401, 429]
    assert "retry-after" in failed[-1].headers
    assert (accepted.status_code, still_accepted.status_code) == (200, 200)
    assert never_seen.status_code == 429
    logged = [one for one in logs if one["event"] == "authentication failed"]
    assert [(one["client"], one["key_id"]) for one in logged] == [("127.0.0.1", "0" * 12)] * 2


@pytest.mark.parametrize(
    ("client", "counted_as"),
    [
        (("192.0.2.1", 4711), "192.0.2.1"),
        (("2001:db8::1:2:3:4", 4711), "2001:db8::/64"),
        (("unix:", 0), "unix:"),
        (None, "unknown"),
    ],
)
def test_addresses_of_one_ipv6_network_are_counted_together(
    client: tuple[str, int] | None, counted_as: str
) -> None:
    assert get_client_network(client) == counted_as


# The counter of one process


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the time, in seconds since 1970."""
    return lambda now: monkeypatch.setattr(rate_limiter.time, "time", lambda: now)


async def test_hits_of_the_window_before_weigh_less_as_time_passes(
    clock: Callable[[float], None],
) -> None:
    counter, [limit] = InMemoryCounter(), parse_many("4/minute")
    clock(59)
    assert [await counter.hit(limit, "ada") for _ in range(5)] == [True] * 4 + [False]

    clock(75)  # a quarter into the next window: three of the four count
    assert await counter.test(limit, "ada")
    assert [await counter.hit(limit, "ada") for _ in range(2)] == [True, False]
    clock(180)
    assert [await counter.hit(limit, "ada") for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize("hits_before", [0, 4])
async def test_a_hit_is_within_the_limit_again_when_the_counter_says_so(
    clock: Callable[[float], None], hits_before: int
) -> None:
    counter, [limit] = InMemoryCounter(), parse_many("4/minute")
    clock(30)
    for _ in range(hits_before):
        await counter.hit(limit, "ada")
    clock(70)
    while await counter.hit(limit, "ada"):
        pass

    again, remaining = await counter.get_window_stats(limit, "ada")

    assert remaining == 0
    clock(again - 0.01)
    assert not await counter.test(limit, "ada")
    clock(again + 0.01)
    assert await counter.test(limit, "ada")


async def test_a_limit_of_zero_rejects_everything() -> None:
    limiter = rate_limiter.RateLimiter("webhook", "0/minute", InMemoryCounter())

    exceeded = await limiter.hit("stripe")

    assert exceeded
    assert 0 < exceeded.seconds <= 60


async def test_no_more_keys_are_counted_than_the_memory_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limiter, "_MAX_COUNTED_KEYS", 2)
    counter, [limit] = InMemoryCounter(), parse_many("1/day")
    for name in ("ada", "grace", "ada", "mallory"):
        await counter.hit(limit, name)

    assert await counter.test(limit, "ada")  # quiet for longest: a rejected hit is none
    assert not await counter.test(limit, "grace")
