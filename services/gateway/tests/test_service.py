"""The gateway itself: its health, its documents, its settings."""

import importlib
import re
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from pydantic import ValidationError
from stand_in import Serve
from temporalio.client import Client

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.settings import GatewaySettings


async def test_it_is_ready_when_both_sources_answer(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/readyz")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "temporal": "ok", "postgresql": "ok"},
    )


async def test_without_postgresql_it_still_takes_orders(
    without_database: httpx.AsyncClient,
) -> None:
    answer = await without_database.get("/readyz")

    assert (answer.status_code, answer.json()["postgresql"]) == (200, "unavailable")


async def test_without_temporal_it_is_not_ready_but_alive(
    without_temporal: httpx.AsyncClient,
) -> None:
    assert (await without_temporal.get("/readyz")).status_code == 503
    assert (await without_temporal.get("/livez")).status_code == 200


def test_uvicorn_finds_the_application_by_its_name(
    monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", postgres.url("gateway"))

    app = importlib.import_module("fuze_gateway.app").app

    assert app.title == "Fuze"


@pytest.mark.parametrize(
    ("text", "means"), [("30", timedelta(seconds=30)), ("P7D", timedelta(days=7))]
)
def test_a_duration_reads_as_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres, text: str, means: timedelta
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", postgres.url("gateway"))
    monkeypatch.setenv("FUZE_APPROVAL_TIMEOUT", text)

    assert GatewaySettings().approval_timeout == means


def test_a_duration_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://nobody@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_APPROVAL_TIMEOUT", "0")

    with pytest.raises(ValidationError):
        GatewaySettings()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "FUZE_AUTHENTICATION"),
        ({"FUZE_AUTHENTICATION": "required"}, "FUZE_CURSOR_SIGNING_KEY"),
        (
            {"FUZE_AUTHENTICATION": "required", "FUZE_CURSOR_SIGNING_KEY": "short"},
            "FUZE_CURSOR_SIGNING_KEY",
        ),
    ],
)
def test_production_takes_authentication_and_a_key_of_its_own(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://nobody@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_ENVIRONMENT", "production")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=says):
        GatewaySettings()


async def test_every_answer_bears_its_request_and_keeps_browsers_from_mischief(
    gateway: httpx.AsyncClient,
) -> None:
    answer = await gateway.get("/nowhere", headers={"X-Request-ID": "from-a-caller"})

    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "from-a-caller"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers


async def test_a_request_id_that_would_forge_log_lines_is_replaced(
    gateway: httpx.AsyncClient,
) -> None:
    answer = await gateway.get("/livez", headers={"X-Request-ID": 'a" injected="yes'})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_the_documentation_needs_nobody_elses_server(gateway: httpx.AsyncClient) -> None:
    page = await gateway.get("/docs")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert linked
    for link in linked:
        assert (await gateway.get(link)).status_code == 200


async def test_a_page_that_is_named_may_call_and_others_may_not(serve: Serve) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    async with serve(cors_origins=["https://shop.example"]) as http:
        ours = await http.options("/orders", headers=asked | {"Origin": "https://shop.example"})
        theirs = await http.options("/orders", headers=asked | {"Origin": "https://evil.example"})

    assert ours.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in theirs.headers


async def test_a_long_answer_is_compressed(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"


async def test_an_answer_that_takes_too_long_is_given_up(
    serve: Serve, no_temporal: Client, order_id: UUID
) -> None:
    async with serve(client=no_temporal, request_timeout=timedelta(seconds=0.05)) as http:
        answer = await http.post(f"/orders/{order_id}/approve")

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")


async def test_the_type_of_a_problem_leads_to_what_it_means(gateway: httpx.AsyncClient) -> None:
    problem = (await gateway.post("/orders", json={"address": {"zip_code": "1"}})).json()

    told = (await gateway.get(problem["type"])).json()

    assert (told["type"], told["status"]) == (problem["type"], problem["status"])
    assert told["meaning"]
    assert (await gateway.get("/problems/none-of-ours")).status_code == 404
