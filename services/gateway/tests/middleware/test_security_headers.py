"""The request id and the security headers of responses."""

import re

import httpx


async def test_every_response_has_the_request_id_and_security_headers(
    gateway: httpx.AsyncClient,
) -> None:
    response = await gateway.get("/nowhere", headers={"X-Request-ID": "from-a-caller"})

    assert response.headers["x-request-id"] == response.json()["request_id"] == "from-a-caller"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in response.headers


async def test_an_invalid_request_id_is_replaced(
    gateway: httpx.AsyncClient,
) -> None:
    response = await gateway.get("/livez", headers={"X-Request-ID": 'a" injected="yes'})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
