"""Where an order stands, from both sides."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from temporalio.client import WorkflowExecutionStatus

from fuze_contracts.order import OrderSnapshot, OrderStatus, PaymentStatus
from fuze_contracts.read_models import PublishedEvent, PublishedOrder
from fuze_gateway.live import LiveAnswer
from fuze_gateway.schemas import OrderView
from fuze_gateway.status import DurablePart, LivePart, merge

Record = Callable[..., Awaitable[None]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

_NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def place(http: httpx.AsyncClient, order_id: UUID, zip_code: str = "10001") -> None:
    answer = await http.post(f"/orders/{order_id}/start", json={"address": {"zip_code": zip_code}})
    assert answer.status_code == 202


async def test_both_accounts_are_told_and_merged(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await place(gateway, order_id)
    await record(order_id)

    answer = await gateway.get(f"/orders/{order_id}/status")

    assert answer.status_code == 200
    status = answer.json()
    assert status["status"] == "awaiting_approval"
    assert status["waiting_for"] == "approval"
    assert status["durable"]["total_minor"] == 5997
    assert status["durable"]["last_event"]["seq"] == 2
    assert status["live"]["execution"] == "running"
    assert status["missing"] == {}


async def test_an_order_without_a_row_yet_is_told_by_its_workflow(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)

    status = (await gateway.get(f"/orders/{order_id}/status")).json()

    assert status["status"] == "awaiting_approval"
    assert status["durable"] is None
    assert status["missing"] == {"durable": "not recorded yet"}


async def test_without_postgresql_the_workflow_speaks(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(without_database, order_id)

    status = (await without_database.get(f"/orders/{order_id}/status")).json()

    assert (status["status"], status["durable"]) == ("awaiting_approval", None)
    assert status["missing"]["durable"] in {"database unavailable", "timed out"}


async def test_without_temporal_the_row_speaks(
    without_temporal: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id)

    status = (await without_temporal.get(f"/orders/{order_id}/status")).json()

    assert (status["status"], status["live"]) == ("awaiting_approval", None)
    assert status["missing"]["live"] in {"temporal unavailable", "timed out"}


async def test_without_either_nobody_can_say(
    without_either: httpx.AsyncClient, order_id: UUID
) -> None:
    answer = await without_either.get(f"/orders/{order_id}/status")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


async def test_not_found_takes_a_no_from_both(
    gateway: httpx.AsyncClient, without_temporal: httpx.AsyncClient, order_id: UUID
) -> None:
    assert (await gateway.get(f"/orders/{order_id}/status")).status_code == 404
    assert (await without_temporal.get(f"/orders/{order_id}/status")).status_code == 503


async def test_a_failing_activity_is_told_without_its_sql(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "STUCK")

    async def told() -> bool:
        live = (await gateway.get(f"/orders/{order_id}/status")).json()["live"]
        failures = [one["last_failure"] for one in live["pending_activities"]]
        return failures == ["the provider is away"]

    await eventually(told)


async def test_what_the_shipment_waits_for_is_told_too(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "CHILD")

    async def told() -> bool:
        live = (await gateway.get(f"/orders/{order_id}/status")).json()["live"]
        return [one["name"] for one in live["pending_activities"]] == ["shipment_dispatched"]

    await eventually(told)


async def test_a_closed_workflow_is_not_asked(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id)
    await record(order_id, status="shipped")
    await gateway.post(f"/orders/{order_id}/signals/approve")

    async def closed() -> bool:
        status = (await gateway.get(f"/orders/{order_id}/status")).json()
        return bool(status["missing"] == {"live": "workflow closed"})

    await eventually(closed)
    status = (await gateway.get(f"/orders/{order_id}/status")).json()
    assert (status["status"], status["live"]) == ("shipped", None)


async def test_the_timeline_is_told_in_order(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, last_seq=3)

    timeline = (await gateway.get(f"/orders/{order_id}/events")).json()

    assert [event["seq"] for event in timeline["events"]] == [1, 2, 3]
    assert (await gateway.get(f"/orders/{uuid4()}/events")).status_code == 404


def _row(order_id: UUID, status: OrderStatus, last_seq: int) -> DurablePart:
    order = PublishedOrder(
        order_id=order_id, status=status, payment_status=PaymentStatus.NONE, reason=None,
        customer=None, currency="USD", total_minor=0, address={"zip_code": "10001"},
        tracking_number=None, fingerprint="f", last_seq=last_seq, created_at=_NOW, updated_at=_NOW,
    )  # fmt: skip
    event = PublishedEvent(
        order_id=order_id, seq=last_seq, type="order_received", status=status,
        payment_status=PaymentStatus.NONE, actor="a", details={}, occurred_at=_NOW,
        recorded_at=_NOW,
    )  # fmt: skip
    return DurablePart(row=(order, event))


def _told(order_id: UUID, status: OrderStatus, last_seq: int) -> LivePart:
    told = OrderSnapshot(
        order_id=order_id, status=status, payment_status=PaymentStatus.NONE, last_seq=last_seq,
        status_since=_NOW,
    )  # fmt: skip
    return LivePart(answer=LiveAnswer(execution=WorkflowExecutionStatus.RUNNING, order=told))


def test_the_account_with_more_events_speaks(order_id: UUID) -> None:
    received, approved = OrderStatus.RECEIVED, OrderStatus.APPROVED

    row_is_newer = merge(order_id, _row(order_id, approved, 3), _told(order_id, received, 2))
    workflow_is_newer = merge(order_id, _row(order_id, received, 2), _told(order_id, approved, 3))

    for view in (row_is_newer, workflow_is_newer):
        assert isinstance(view, OrderView)
        assert view.status is approved


def test_a_running_workflow_that_nobody_can_ask_is_a_received_order(order_id: UUID) -> None:
    running = LiveAnswer(execution=WorkflowExecutionStatus.RUNNING, missing="no worker answered")

    view = merge(
        order_id,
        DurablePart(missing="not recorded yet"),
        LivePart(answer=running, missing=running.missing),
    )

    assert isinstance(view, OrderView)
    assert view.status is OrderStatus.RECEIVED
