"""The health endpoints."""

import httpx
import pytest
from gateway_harness import Serve
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings


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


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("gateway-wrong", 'password authentication failed for user "fuze_gateway"'),
        ("order", "permission denied for schema gateway"),
    ],
    ids=["wrong password", "no rights"],
)
async def test_the_gateway_is_not_ready_with_a_database_that_it_cannot_use(
    serve: Serve, postgres: EmbeddedPostgres, role: str, reason: str
) -> None:
    name, _, suffix = role.partition("-")
    url = postgres.url(name).replace("@", f"{suffix}@")
    settings = GatewaySettings(database_url=url)
    async with serve(pool=Database(settings, "a-test", settings.read_timeout)) as http:
        response = await http.get("/readyz")

    assert (response.status_code, response.json()["postgresql"]) == (503, "unavailable")
    assert reason in response.json()["detail"]


async def test_the_gateway_is_not_ready_without_its_namespace(
    serve: Serve, temporal: Client
) -> None:
    address = temporal.service_client.config.target_host
    client = await Client.connect(address, namespace="shop", data_converter=pydantic_data_converter)
    async with serve(client=client) as http:
        response = await http.get("/readyz")

    assert (response.status_code, response.json()["temporal"]) == (503, "unavailable")
    assert response.json()["detail"].startswith("Temporal has no namespace shop")
