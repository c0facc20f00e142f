"""The health endpoints."""

import httpx


async def test_the_gateway_is_ready_when_both_upstreams_respond(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/readyz")

    assert (response.status_code, response.json()) == (
        200,
        {"status": "ready", "temporal": "ok", "postgresql": "ok"},
    )


async def test_the_gateway_is_ready_without_postgresql(
    without_database: httpx.AsyncClient,
) -> None:
    response = await without_database.get("/readyz")

    assert (response.status_code, response.json()["postgresql"]) == (200, "unavailable")


async def test_the_gateway_is_alive_but_not_ready_without_temporal(
    without_temporal: httpx.AsyncClient,
) -> None:
    assert (await without_temporal.get("/readyz")).status_code == 503
    assert (await without_temporal.get("/livez")).status_code == 200
