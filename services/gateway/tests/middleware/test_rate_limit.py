"""The rate limit of authenticated callers."""

from gateway_harness import MakeKey, Serve, bearer


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
    redis = f"redis://127.0.0.1:{closed_port}"
    async with serve(authentication="required", rate_limit_storage=redis) as http:
        assert (await http.get("/orders", headers=key)).status_code == 200
