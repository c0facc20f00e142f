"""Both orders of every race, forced by gates in the sandbox and locks in the database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
from running_stack import TEAPOTS, Stack, eventually
from temporalio.client import Client

from fuze_contracts.order import ORDER_TASK_QUEUE, OrderLine, OrderWorkflow, PlaceOrder
from fuze_contracts.payment import default_payment_token
from fuze_contracts.shipping import Address
from fuze_contracts.workflow_ids import order_workflow_id

Hold = Callable[[str, str], None]

_ELSEWHERE = {"address": {"zip_code": "94105"}, "actor": "ada"}
_CHANGED_MIND = {"reason": "changed my mind", "actor": "ada"}


def _until_held(stack: Stack, part: str) -> None:
    eventually(
        lambda: stack.get(f"/control/{part}", "sandbox").json()["held"],
        f"a request is held at the {part}'s gate",
    )


def _approved(stack: Stack) -> str:
    order_id = stack.place()
    stack.approve(order_id)
    return order_id


def _kept(stack: Stack, order_id: str) -> int:
    """What the provider has of the order's money, in minor units."""
    refunds = stack.get(f"/psp/refunds?order_id={order_id}", "sandbox").json()["refunds"]
    taken = [one for one in stack.charges(order_id) if one["status"] == "charged"]
    return sum(one["amount_minor"] for one in taken) - sum(one["amount_minor"] for one in refunds)


def _all_agree_that_it_is_cancelled(stack: Stack, order_id: str) -> None:
    stack.wait_for(order_id, "cancelled")
    eventually(lambda: stack.timeline(order_id)[-1] == "order_cancelled", "the row says so")
    assert stack.parcels(order_id) == []
    eventually(lambda: _kept(stack, order_id) == 0, "nothing is kept")
    payments = stack.get(f"/orders/{order_id}/payments").json()["payments"]
    assert all(one["state"] != "charged" or one["refunded_minor"] == 5997 for one in payments)


@pytest.fixture
def held(stack: Stack) -> Iterator[Hold]:
    """Hold requests at a gate; whatever happens, it is open afterwards."""

    def hold(part: str, gate: str) -> None:
        stack.set_conditions(part, hold=gate)

    yield hold
    stack.set_conditions("psp")
    stack.set_conditions("carrier")


def test_a_charge_that_is_made_before_the_cancellation_is_given_back(
    stack: Stack, held: Hold
) -> None:
    held("psp", "after_write")
    order_id = _approved(stack)
    _until_held(stack, "psp")
    assert len(stack.charges(order_id)) == 1

    answer = stack.post(f"/orders/{order_id}/cancel", _CHANGED_MIND)
    stack.set_conditions("psp")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _all_agree_that_it_is_cancelled(stack, order_id)
    assert stack.status(order_id)["payment_status"] == "refunded"


def test_a_charge_that_lands_after_the_cancellation_is_given_back(stack: Stack, held: Hold) -> None:
    held("psp", "before_write")
    order_id = _approved(stack)
    _until_held(stack, "psp")

    answer = stack.post(f"/orders/{order_id}/cancel", _CHANGED_MIND)
    assert stack.charges(order_id) == []
    stack.set_conditions("psp")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _all_agree_that_it_is_cancelled(stack, order_id)


def test_a_cancellation_that_comes_while_the_carrier_is_away_keeps_the_parcel_here(
    stack: Stack,
) -> None:
    stack.set_conditions("carrier", available=False)
    order_id = _approved(stack)
    eventually(lambda: _has_tried(stack, order_id), "the carrier was asked in vain")

    answer = stack.post(f"/orders/{order_id}/cancel", _CHANGED_MIND)
    stack.set_conditions("carrier")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    _all_agree_that_it_is_cancelled(stack, order_id)


def test_a_cancellation_that_comes_while_the_parcel_is_handed_over_is_too_late(
    stack: Stack, held: Hold
) -> None:
    held("carrier", "before_write")
    order_id = _approved(stack)
    _until_held(stack, "carrier")

    answer = stack.post(f"/orders/{order_id}/cancel", _CHANGED_MIND)
    stack.set_conditions("carrier")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    stack.wait_for(order_id, "shipped")
    assert len(stack.parcels(order_id)) == 1
    assert _kept(stack, order_id) == 5997


def test_an_address_that_comes_while_the_carrier_is_away_is_shipped_to(stack: Stack) -> None:
    stack.set_conditions("carrier", available=False)
    order_id = _approved(stack)
    eventually(lambda: _has_tried(stack, order_id), "the carrier was asked in vain")

    answer = stack.put(f"/orders/{order_id}/address", _ELSEWHERE)
    stack.set_conditions("carrier")

    assert answer.status_code == 200
    stack.wait_for(order_id, "shipped")
    [parcel] = stack.parcels(order_id)
    assert parcel["address"]["zip_code"] == "94105"


def test_an_address_that_comes_while_the_parcel_is_handed_over_is_too_late(
    stack: Stack, held: Hold
) -> None:
    held("carrier", "before_write")
    order_id = _approved(stack)
    _until_held(stack, "carrier")

    answer = stack.put(f"/orders/{order_id}/address", _ELSEWHERE)
    stack.set_conditions("carrier")

    assert answer.json()["type"] == "/problems/too-late-to-change-address"
    stack.wait_for(order_id, "shipped")
    [parcel] = stack.parcels(order_id)
    assert parcel["address"]["zip_code"] == "10001"
    assert "address_changed" not in stack.timeline(order_id)


async def test_an_approval_that_comes_while_the_deadline_is_recorded_is_too_late(
    stack: Stack, temporal: Client
) -> None:
    order = await _short_of_time(temporal)
    stack.wait_for(str(order.order_id), "awaiting_approval")
    async with _no_event_written(stack) as is_held:
        await is_held()

        approval = asyncio.create_task(
            asyncio.to_thread(stack.post, f"/orders/{order.order_id}/approve", {"actor": "grace"})
        )
    answer = await approval

    assert answer.json()["type"] in {
        "/problems/not-awaiting-approval",
        "/problems/order-closed",
    }
    await asyncio.to_thread(stack.wait_for, str(order.order_id), "expired")
    assert stack.timeline(str(order.order_id))[-1] == "order_expired"
    assert stack.charges(str(order.order_id)) == []


async def test_an_approval_that_is_being_recorded_at_the_deadline_holds(
    stack: Stack, temporal: Client
) -> None:
    order = await _short_of_time(temporal)
    order_id = str(order.order_id)
    deadline = stack.wait_for(order_id, "awaiting_approval")["live"]["deadline"]
    async with _no_event_written(stack) as is_held:
        stack.approve(order_id)
        await is_held()
        assert datetime.now(UTC) < datetime.fromisoformat(deadline)
        while datetime.now(UTC) < datetime.fromisoformat(deadline):
            await asyncio.sleep(0.1)

    await asyncio.to_thread(stack.wait_for, order_id, "shipped")
    assert "order_expired" not in stack.timeline(order_id)


@pytest.mark.parametrize(
    "line", ["response_dropped", "delayed_commit", "error_once", "rate_limited"]
)
def test_whatever_goes_wrong_on_the_way_one_parcel_is_handed_over(stack: Stack, line: str) -> None:
    order_id = stack.place(address={"zip_code": "10001", "line1": line})
    stack.approve(order_id)

    stack.wait_for(order_id, "shipped")

    assert len(stack.parcels(order_id)) == 1


def test_an_address_that_the_carrier_refuses_is_corrected(stack: Stack) -> None:
    order_id = stack.place(address={"zip_code": "10001", "line1": "rejected"})
    stack.approve(order_id)
    stack.wait_for(order_id, "awaiting_address")
    listed = stack.get("/orders?waiting_for=address").json()["orders"]

    answer = stack.put(f"/orders/{order_id}/address", _ELSEWHERE)

    assert order_id in {one["order_id"] for one in listed}
    assert answer.status_code == 200
    stack.wait_for(order_id, "shipped")


async def test_many_identical_starts_and_approvals_are_one_of_each(stack: Stack) -> None:
    order_id = "00000000-0000-4000-8000-000000000050"
    url = f"{stack.facts['gateway']['url']}/orders/{order_id}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        starts = await asyncio.gather(*(http.post(f"{url}/start", json=TEAPOTS) for _ in range(50)))
        await asyncio.to_thread(stack.wait_for, order_id, "awaiting_approval")
        approvals = await asyncio.gather(*(http.post(f"{url}/approve") for _ in range(50)))

    assert {answer.status_code for answer in starts} == {202}
    assert sum("idempotent-replayed" not in answer.headers for answer in starts) == 1
    assert sorted(answer.status_code for answer in approvals) == [200] + [409] * 49
    stack.wait_for(order_id, "shipped")
    timeline = stack.timeline(order_id)
    assert timeline.count("order_received") == timeline.count("order_approved") == 1


def _has_tried(stack: Stack, order_id: str) -> bool:
    pending = (stack.status(order_id)["live"] or {}).get("pending_activities", [])
    return any(one["name"] == "shipment_dispatched" and one["last_failure"] for one in pending)


async def _short_of_time(temporal: Client) -> PlaceOrder:
    """Place an order that nobody has long to approve."""
    order_id = uuid4()
    order = PlaceOrder(
        order_id=order_id,
        address=Address(zip_code="10001"),
        fingerprint="none",
        lines=(OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
        payment_method="pm_card_visa",
        payment_token=default_payment_token(order_id, 1),
        approval_timeout=timedelta(seconds=4),
        approval_reminder_before=timedelta(days=1),  # longer than that: none
    )
    await temporal.start_workflow(
        OrderWorkflow.run, order, id=order_workflow_id(order_id), task_queue=ORDER_TASK_QUEUE
    )
    await temporal.get_workflow_handle_for(OrderWorkflow.run, order_workflow_id(order_id)).query(
        OrderWorkflow.status
    )
    return order


@asynccontextmanager
async def _no_event_written(stack: Stack) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold every event of an order before it is written; yields how to wait for one."""
    connection = await asyncpg.connect(stack.facts["postgres"]["dsn"])

    async def is_held() -> None:
        async with asyncio.timeout(20):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND relation = 'orders.events'::regclass"
            ):
                await asyncio.sleep(0.05)

    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE orders.events IN SHARE MODE")
            yield is_held
    finally:
        await connection.close()
