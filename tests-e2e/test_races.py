"""Both orders of every race, forced by pauses in the sandbox and locks in the database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from stack_client import (
    CANCELLATION,
    OTHER_ADDRESS,
    TEAPOTS,
    TOTAL_MINOR,
    StackClient,
    eventually,
    start_order_workflow,
)
from temporalio.client import Client

from fuze_contracts.order import OrderWorkflow
from fuze_contracts.workflow_ids import order_workflow_id

PauseRequests = Callable[[str, str], None]


@pytest.fixture
def pause_requests(stack: StackClient) -> Iterator[PauseRequests]:
    """Pause requests to the sandbox; whatever happens, they go on afterwards."""
    yield stack.pause_requests
    stack.configure_sandbox("psp")
    stack.configure_sandbox("carrier")


def test_a_charge_that_succeeds_before_the_cancellation_is_refunded(
    stack: StackClient, pause_requests: PauseRequests
) -> None:
    pause_requests("psp", "after_write")
    order_id = stack.start_approved_order()
    stack.wait_for_paused_request("psp")
    assert len(stack.get_charges(order_id)) == 1

    answer = stack.post(f"/orders/{order_id}/cancel", CANCELLATION)
    stack.configure_sandbox("psp")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _assert_cancelled_everywhere(stack, order_id)
    assert stack.get_status(order_id)["payment_status"] == "refunded"


def test_a_charge_that_succeeds_after_the_cancellation_is_refunded(
    stack: StackClient, pause_requests: PauseRequests
) -> None:
    pause_requests("psp", "before_write")
    order_id = stack.start_approved_order()
    stack.wait_for_paused_request("psp")

    answer = stack.post(f"/orders/{order_id}/cancel", CANCELLATION)
    assert stack.get_charges(order_id) == []
    stack.configure_sandbox("psp")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _assert_cancelled_everywhere(stack, order_id)


def test_a_cancellation_during_a_carrier_outage_prevents_the_dispatch(stack: StackClient) -> None:
    stack.configure_sandbox("carrier", available=False)
    order_id = stack.start_approved_order()
    _wait_for_failed_dispatch(stack, order_id)

    answer = stack.post(f"/orders/{order_id}/cancel", CANCELLATION)
    stack.configure_sandbox("carrier")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _assert_cancelled_everywhere(stack, order_id)


def test_a_cancellation_during_the_dispatch_is_too_late(
    stack: StackClient, pause_requests: PauseRequests
) -> None:
    pause_requests("carrier", "before_write")
    order_id = stack.start_approved_order()
    stack.wait_for_paused_request("carrier")

    answer = stack.post(f"/orders/{order_id}/cancel", CANCELLATION)
    stack.configure_sandbox("carrier")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_parcels(order_id)) == 1
    assert _get_net_amount(stack, order_id) == TOTAL_MINOR


def test_an_address_change_during_a_carrier_outage_is_shipped_to(stack: StackClient) -> None:
    stack.configure_sandbox("carrier", available=False)
    order_id = stack.start_approved_order()
    _wait_for_failed_dispatch(stack, order_id)

    answer = stack.put(f"/orders/{order_id}/address", OTHER_ADDRESS)
    stack.configure_sandbox("carrier")

    assert answer.status_code == 200
    stack.wait_for_status(order_id, "shipped")
    [parcel] = stack.get_parcels(order_id)
    assert parcel["address"]["postal_code"] == "94105"


def test_an_address_change_during_the_dispatch_is_too_late(
    stack: StackClient, pause_requests: PauseRequests
) -> None:
    pause_requests("carrier", "before_write")
    order_id = stack.start_approved_order()
    stack.wait_for_paused_request("carrier")

    answer = stack.put(f"/orders/{order_id}/address", OTHER_ADDRESS)
    stack.configure_sandbox("carrier")

    assert answer.json()["type"] == "/problems/too-late-to-change-address"
    stack.wait_for_status(order_id, "shipped")
    [parcel] = stack.get_parcels(order_id)
    assert parcel["address"]["postal_code"] == "10001"
    assert "address_changed" not in stack.get_event_types(order_id)


async def test_an_approval_while_the_expiry_is_recorded_is_too_late(
    stack: StackClient, temporal: Client
) -> None:
    order_id = await _start_order_that_expires_soon(temporal)
    await asyncio.to_thread(stack.wait_for_status, order_id, "awaiting_approval")
    async with _lock_events(stack) as wait_for_blocked_write:
        await wait_for_blocked_write()

        approval = asyncio.create_task(
            asyncio.to_thread(stack.post, f"/orders/{order_id}/approve", {"actor": "grace"})
        )
    answer = await approval

    assert answer.json()["type"] in {
        "/problems/not-awaiting-approval",
        "/problems/order-closed",
    }
    await asyncio.to_thread(stack.wait_for_status, order_id, "expired")
    assert stack.get_event_types(order_id)[-1] == "order_expired"
    assert stack.get_charges(order_id) == []


async def test_an_approval_that_is_being_recorded_at_the_deadline_is_valid(
    stack: StackClient, temporal: Client
) -> None:
    order_id = await _start_order_that_expires_soon(temporal)
    found = await asyncio.to_thread(stack.wait_for_status, order_id, "awaiting_approval")
    deadline = datetime.fromisoformat(found["live"]["deadline"])
    async with _lock_events(stack) as wait_for_blocked_write:
        stack.approve(order_id)
        await wait_for_blocked_write()
        assert datetime.now(UTC) < deadline
        while datetime.now(UTC) < deadline:
            await asyncio.sleep(0.1)

    await asyncio.to_thread(stack.wait_for_status, order_id, "shipped")
    assert "order_expired" not in stack.get_event_types(order_id)


@pytest.mark.parametrize(
    "line", ["response_dropped", "delayed_commit", "error_once", "rate_limited"]
)
def test_a_carrier_fault_during_the_dispatch_makes_no_second_parcel(
    stack: StackClient, line: str
) -> None:
    order_id = stack.start_approved_order(address={"zip_code": "10001", "line1": line})

    stack.wait_for_status(order_id, "shipped")

    assert len(stack.get_parcels(order_id)) == 1


def test_an_address_that_the_carrier_rejects_can_be_corrected(stack: StackClient) -> None:
    order_id = stack.start_approved_order(address={"zip_code": "10001", "line1": "rejected"})
    stack.wait_for_status(order_id, "awaiting_address")
    listed = stack.get("/orders?waiting_for=address").json()["orders"]

    answer = stack.put(f"/orders/{order_id}/address", OTHER_ADDRESS)

    assert order_id in {one["order_id"] for one in listed}
    assert answer.status_code == 200
    stack.wait_for_status(order_id, "shipped")


async def test_fifty_identical_starts_and_approvals_count_once(stack: StackClient) -> None:
    order_id = str(uuid4())
    url = f"{stack.connection_info['gateway']['url']}/orders/{order_id}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        starts = await _post_fifty_times(http, f"{url}/start", TEAPOTS)
        await asyncio.to_thread(stack.wait_for_status, order_id, "awaiting_approval")
        approvals = await _post_fifty_times(http, f"{url}/approve")

    # At most one, not exactly one: a 503 is repeated, and its order may have been accepted.
    assert {answer.status_code for answer in starts} == {202}
    assert sum("idempotent-replayed" not in answer.headers for answer in starts) <= 1
    assert {answer.status_code for answer in approvals} <= {200, 409}
    assert [answer.status_code for answer in approvals].count(200) <= 1
    stack.wait_for_status(order_id, "shipped")
    event_types = stack.get_event_types(order_id)
    assert event_types.count("order_received") == event_types.count("order_approved") == 1


async def test_a_burst_of_cancellations_after_many_address_changes_cancels_once(
    stack: StackClient, temporal: Client
) -> None:
    order_id = stack.start_order()
    await asyncio.to_thread(stack.wait_for_status, order_id, "awaiting_approval")
    url = f"{stack.connection_info['gateway']['url']}/orders/{order_id}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        changes = [await http.put(f"{url}/address", json=OTHER_ADDRESS) for _ in range(40)]
        answers = await asyncio.gather(
            *(http.post(f"{url}/cancel", json=CANCELLATION) for _ in range(40))
        )

    assert {answer.status_code for answer in changes} == {200}
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(409)) == (1, 39), statuses
    async with asyncio.timeout(20):
        await temporal.get_workflow_handle(order_workflow_id(UUID(order_id))).result()
    assert stack.get_event_types(order_id).count("order_cancelled") == 1


async def _post_fifty_times(
    http: httpx.AsyncClient, url: str, body: dict[str, Any] | None = None
) -> list[httpx.Response]:
    """Send a request fifty times at once; repeat a 503, which an overloaded machine can cause."""

    async def post() -> httpx.Response:
        while (
            answer := await http.post(url, json=body)
        ).status_code == httpx.codes.SERVICE_UNAVAILABLE:
            await asyncio.sleep(1)
        return answer

    return list(await asyncio.gather(*(post() for _ in range(50))))


def _wait_for_failed_dispatch(stack: StackClient, order_id: str) -> None:
    eventually(
        lambda: stack.has_failing_activity(order_id, "shipment_dispatched"), "a dispatch has failed"
    )


def _get_net_amount(stack: StackClient, order_id: str) -> int:
    """Return what was charged less what was refunded, at the provider, in cents."""
    charges = stack.get_charges(order_id)
    charged: int = sum(one["amount_minor"] for one in charges if one["status"] == "charged")
    refunded: int = sum(one["amount_minor"] for one in stack.get_refunds(order_id))
    return charged - refunded


def _assert_cancelled_everywhere(stack: StackClient, order_id: str) -> None:
    stack.wait_for_status(order_id, "cancelled")
    eventually(
        lambda: stack.get_event_types(order_id)[-1] == "order_cancelled",
        "the cancellation is recorded",
    )
    assert stack.get_parcels(order_id) == []
    eventually(lambda: _get_net_amount(stack, order_id) == 0, "the provider keeps nothing")
    [payment] = stack.get_payments(order_id)
    refunded = TOTAL_MINOR if payment["state"] == "charged" else 0
    assert payment["state"] in {"charged", "voided"}
    assert payment["refunded_minor"] == refunded


async def _start_order_that_expires_soon(temporal: Client) -> str:
    order_id = await start_order_workflow(temporal, approval_timeout=timedelta(seconds=4))
    await temporal.get_workflow_handle_for(OrderWorkflow.run, order_workflow_id(order_id)).query(
        OrderWorkflow.status
    )
    return str(order_id)


@asynccontextmanager
async def _lock_events(stack: StackClient) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Block every write of an event; yields how to wait for one that is blocked."""
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])

    async def wait_for_blocked_write() -> None:
        async with asyncio.timeout(20):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND relation = 'orders.events'::regclass"
            ):
                await asyncio.sleep(0.05)

    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE orders.events IN SHARE MODE")
            yield wait_for_blocked_write
    finally:
        await connection.close()
