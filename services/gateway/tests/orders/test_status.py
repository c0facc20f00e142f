"""The status of an order, from its row and its workflow."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from gateway_harness import Eventually, Record
from temporalio.client import WorkflowExecutionStatus

from fuze_contracts.order import OrderSnapshot
from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_contracts.read_models import PublishedEvent, PublishedOrder
from fuze_gateway.orders.schemas.status import (
    DurableUnavailable,
    LiveUnavailable,
    OrderStatusResponse,
)
from fuze_gateway.orders.status_merge import DurablePart, LivePart, merge
from fuze_gateway.orders.workflow_queries import WorkflowSnapshot

_NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def place(http: httpx.AsyncClient, order_id: UUID, line1: str = "1 Main Street") -> None:
    response = await http.post(
        f"/orders/{order_id}/start", json={"address": {"zip_code": "10001", "line1": line1}}
    )
    assert response.status_code == 202


async def test_the_row_and_the_workflow_are_merged(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await place(gateway, order_id)
    await record(order_id)

    response = await gateway.get(f"/orders/{order_id}/status")

    assert response.status_code == 200
    status = response.json()
    assert status["status"] == "awaiting_approval"
    assert status["waiting_for"] == "approval"
    assert status["durable"]["total_minor"] == 5997
    assert status["durable"]["last_event"]["seq"] == 2
    assert status["live"]["execution"] == "running"
    assert status["unavailable"] == {}


async def test_an_order_without_a_row_has_the_status_of_its_workflow(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)

    status = (await gateway.get(f"/orders/{order_id}/status")).json()

    assert status["status"] == "awaiting_approval"
    assert status["durable"] is None
    assert status["unavailable"] == {"durable": "not_recorded"}


async def test_the_workflow_is_the_source_without_postgresql(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(without_database, order_id)

    status = (await without_database.get(f"/orders/{order_id}/status")).json()

    assert (status["status"], status["durable"]) == ("awaiting_approval", None)
    assert status["unavailable"]["durable"] in {"database_unavailable", "timeout"}


async def test_the_row_is_the_source_without_temporal(
    without_temporal: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id)

    status = (await without_temporal.get(f"/orders/{order_id}/status")).json()

    assert (status["status"], status["live"]) == ("awaiting_approval", None)
    assert status["unavailable"]["live"] in {"temporal_unavailable", "timeout"}


async def test_the_status_is_unavailable_without_both(
    without_upstreams: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await without_upstreams.get(f"/orders/{order_id}/status")

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0


async def test_not_found_requires_that_both_were_read(
    gateway: httpx.AsyncClient, without_temporal: httpx.AsyncClient, order_id: UUID
) -> None:
    assert (await gateway.get(f"/orders/{order_id}/status")).status_code == 404
    assert (await without_temporal.get(f"/orders/{order_id}/status")).status_code == 503


async def test_a_failing_activity_is_reported_without_its_sql(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "STUCK")

    async def is_reported() -> bool:
        live = (await gateway.get(f"/orders/{order_id}/status")).json()["live"]
        failures = [one["last_failure"] for one in live["pending_activities"]]
        return failures == ["the provider is unavailable"]

    await eventually(is_reported)


async def test_a_failing_workflow_task_is_reported_with_its_cause(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "BROKEN")

    async def is_reported() -> bool:
        status = (await gateway.get(f"/orders/{order_id}/status")).json()
        reason = status["unavailable"].get("live")
        return (reason, status["live"]["last_error"]) == ("workflow_task_failing", "a bad deploy")

    await eventually(is_reported)


async def test_a_pending_activity_says_whether_an_attempt_runs(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "STUCK")
    seen: set[str] = set()

    async def is_reported() -> bool:
        live = (await gateway.get(f"/orders/{order_id}/status")).json()["live"]
        seen.update(one["state"] for one in live["pending_activities"])
        return "backing_off" in seen

    await eventually(is_reported)
    assert seen <= {"scheduled", "started", "backing_off"}


async def test_the_pending_activities_of_the_shipment_are_reported(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id, "CHILD")

    async def is_reported() -> bool:
        live = (await gateway.get(f"/orders/{order_id}/status")).json()["live"]
        return [one["name"] for one in live["pending_activities"]] == ["shipment_dispatched"]

    await eventually(is_reported)


async def test_a_closed_workflow_is_not_queried(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID, eventually: Eventually
) -> None:
    await place(gateway, order_id)
    await record(order_id, status="shipped")
    await gateway.post(f"/orders/{order_id}/signals/approve")

    async def is_closed() -> bool:
        status = (await gateway.get(f"/orders/{order_id}/status")).json()
        return bool(status["unavailable"] == {"live": "workflow_closed"})

    await eventually(is_closed)
    status = (await gateway.get(f"/orders/{order_id}/status")).json()
    assert (status["status"], status["live"]) == ("shipped", None)


async def test_events_are_listed_oldest_first(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, last_seq=3)

    timeline = (await gateway.get(f"/orders/{order_id}/events")).json()

    assert [event["seq"] for event in timeline["events"]] == [1, 2, 3]
    assert (await gateway.get(f"/orders/{uuid4()}/events")).status_code == 404


def _durable_part(order_id: UUID, status: OrderStatus, last_seq: int) -> DurablePart:
    order = PublishedOrder(
        order_id=order_id, status=status, payment_status=PaymentStatus.NONE, reason=None,
        customer=None, currency="USD", total_minor=0, address={"country": "US"},
        tracking_number=None, fingerprint="f", last_seq=last_seq, created_at=_NOW, updated_at=_NOW,
    )  # fmt: skip
    event = PublishedEvent(
        order_id=order_id, seq=last_seq, type="order_received", status=status,
        payment_status=PaymentStatus.NONE, actor="a", details={}, occurred_at=_NOW,
        recorded_at=_NOW,
    )  # fmt: skip
    return DurablePart(row=(order, event))


def _live_part(order_id: UUID, status: OrderStatus, last_seq: int) -> LivePart:
    snapshot = OrderSnapshot(
        order_id=order_id, status=status, payment_status=PaymentStatus.NONE, last_seq=last_seq,
        status_since=_NOW,
    )  # fmt: skip
    return LivePart(
        snapshot=WorkflowSnapshot(execution=WorkflowExecutionStatus.RUNNING, order=snapshot)
    )


def test_the_part_with_the_higher_sequence_number_is_the_source(order_id: UUID) -> None:
    received, approved = OrderStatus.RECEIVED, OrderStatus.APPROVED

    row_is_newer = merge(
        order_id, _durable_part(order_id, approved, 3), _live_part(order_id, received, 2)
    )
    workflow_is_newer = merge(
        order_id, _durable_part(order_id, received, 2), _live_part(order_id, approved, 3)
    )

    for status in (row_is_newer, workflow_is_newer):
        assert isinstance(status, OrderStatusResponse)
        assert status.status is approved


def test_a_running_workflow_without_a_worker_is_a_received_order(order_id: UUID) -> None:
    running = WorkflowSnapshot(
        execution=WorkflowExecutionStatus.RUNNING, unavailable=LiveUnavailable.NO_WORKER
    )

    status = merge(
        order_id,
        DurablePart(unavailable=DurableUnavailable.NOT_RECORDED),
        LivePart(snapshot=running, unavailable=running.unavailable),
    )

    assert isinstance(status, OrderStatusResponse)
    assert status.status is OrderStatus.RECEIVED
