"""An operator finds orders in Temporal by what they wait for."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import pytest
from order_harness import Handle, OrderHarness, run_workers, until, waits_for
from temporalio.api.enums.v1 import EventType

from fuze_contracts import payment
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import WaitingFor
from fuze_contracts.search_attributes import NEEDS_ATTENTION, ORDER_STATUS, WAITING_FOR
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow
from fuze_testing.temporal import add_search_attributes

Order = Callable[..., PlaceOrder]


@pytest.fixture
async def harness(without_workers: OrderHarness) -> AsyncIterator[OrderHarness]:
    await add_search_attributes(without_workers.environment.client)
    async with run_workers(without_workers, OrderRepository(without_workers.engine)):
        yield without_workers


async def _published(handle: Handle) -> tuple[str | None, str | None, bool | None]:
    attributes = (await handle.describe()).typed_search_attributes
    return (
        attributes.get(ORDER_STATUS),
        attributes.get(WAITING_FOR),
        attributes.get(NEEDS_ATTENTION),
    )


async def test_an_order_is_found_by_its_status_and_by_what_it_waits_for(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.outcome = payment.Declined(code="card_declined")
    handle = await harness.place(make_order(search_attributes=True))

    await until(handle, waits_for(WaitingFor.APPROVAL))
    assert await _published(handle) == ("awaiting_approval", "approval", False)
    await handle.signal(OrderWorkflow.approve)
    await until(handle, waits_for(WaitingFor.PAYMENT_METHOD))
    assert await _published(handle) == ("awaiting_payment_method", "payment_method", False)
    await handle.signal(OrderWorkflow.cancel)
    await handle.result()
    assert await _published(handle) == ("cancelled", None, False)


async def test_publishing_takes_four_events_and_no_workflow_task_of_its_own(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order(search_attributes=True))
    await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.signal(OrderWorkflow.approve)
    await handle.result()

    commands = defaultdict(list)
    for event in (await handle.fetch_history()).events:
        attributes = getattr(event, event.WhichOneof("attributes"))
        if task := getattr(attributes, "workflow_task_completed_event_id", None):
            commands[task].append(event.event_type)
    upsert = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
    publishing = [types for types in commands.values() if upsert in types]
    assert sum(types.count(upsert) for types in publishing) == 4
    assert all(set(types) > {upsert} for types in publishing)


async def test_an_order_publishes_nothing_without_the_setting(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order())
    await until(handle, waits_for(WaitingFor.APPROVAL))

    assert await _published(handle) == (None, None, None)
    await handle.terminate()
