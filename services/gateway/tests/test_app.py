"""The application: its documentation, CORS and compression."""

import importlib
import re

import httpx
import pytest
from gateway_harness import Serve

from fuze_devstack.postgres import EmbeddedPostgres


def test_uvicorn_finds_the_application_by_its_name(
    monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", postgres.url("gateway"))

    app = importlib.import_module("fuze_gateway.app").app

    assert app.title == "Fuze"


async def test_the_documentation_loads_nothing_from_other_servers(
    gateway: httpx.AsyncClient,
) -> None:
    page = await gateway.get("/docs")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert linked
    for link in linked:
        assert (await gateway.get(link)).status_code == 200


async def test_cors_allows_configured_origins_only(serve: Serve) -> None:
    preflight = {"Access-Control-Request-Method": "POST"}
    async with serve(cors_origins=["https://shop.example"]) as http:
        allowed = await http.options(
            "/orders", headers=preflight | {"Origin": "https://shop.example"}
        )
        denied = await http.options(
            "/orders", headers=preflight | {"Origin": "https://evil.example"}
        )

    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in denied.headers


async def test_a_long_response_is_compressed(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert response.headers["content-encoding"] == "gzip"
