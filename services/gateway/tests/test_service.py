"""The gateway itself: its health, its documents, its settings."""

import importlib
from datetime import timedelta

import httpx
import pytest
from pydantic import ValidationError

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


async def test_its_description_documents_every_operation_and_its_problems(
    gateway: httpx.AsyncClient,
) -> None:
    description = (await gateway.get("/openapi.json")).json()

    operations = {
        operation["operationId"]: operation
        for path in description["paths"].values()
        for operation in path.values()
    }
    assert operations.keys() == {
        "startOrder", "approveOrder", "rejectOrder", "cancelOrder", "changeAddress", "retryOrder",
        "signalApproval", "signalCancellation", "signalAddress", "listOrders", "getOrderStatus",
        "getOrderEvents", "getOrderPayments", "changePaymentMethod", "refundOrder",
        "getPaymentDiscrepancies", "receivePspWebhook", "receiveStripeWebhook",
        "receiveCarrierWebhook", "livez", "readyz",
    }  # fmt: skip
    assert {"202", "409", "422", "503"} <= operations["startOrder"]["responses"].keys()


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
