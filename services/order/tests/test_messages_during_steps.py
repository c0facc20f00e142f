"""What arrives while a local step ends is replayed in the order in which the workflow got it.

A query in the workflow task of a local step lets the SDK record the step's end before the workflow
learns of it. A message that follows then comes first, but second in a replay (ADR 3).
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from order_harness import Handle, OrderHarness, run_workers, until, waits_for
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from fuze_contracts.address import Address
from fuze_contracts.base import WORKFLOW_BUSY
from fuze_contracts.order import CancelOrder, ChangeAddress, OrderSnapshot, PlaceOrder
from fuze_contracts.order_states import WaitingFor
from fuze_order.repository import OrderRepository
from fuze_order.state import OrderState
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

CANCEL = CancelOrder(actor="ada", reason="changed my mind")
ELSEWHERE = ChangeAddress(address=Address(country="US", postal_code="94105"), actor="ada")

_SERVER_HAS_QUERY_SECONDS = 0.3
_CORE_HAS_STEP_SECONDS = 0.5
"""Neither the server nor the SDK's core says so; a step is one statement."""


class SlowQuery:
    """Makes the next answer to the query `status` slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_next = False
        self._is_answering = threading.Event()
        answer = OrderState.snapshot

        def snapshot(state: OrderState) -> OrderSnapshot:
            if self.is_next:
                self.is_next = False
                self._is_answering.set()
                time.sleep(_CORE_HAS_STEP_SECONDS)
            return answer(state)

        monkeypatch.setattr(OrderState, "snapshot", snapshot)

    async def wait(self) -> None:
        """Return while it is answered."""
        assert await asyncio.to_thread(self._is_answering.wait, 20)


@pytest.fixture
def slow_query(monkeypatch: pytest.MonkeyPatch) -> SlowQuery:
    return SlowQuery(monkeypatch)


async def end_with_message_during_approval(
    harness: OrderHarness,
    order: PlaceOrder,
    slow_query: SlowQuery,
    send: Callable[[Handle], Awaitable[object]],
) -> Handle:
    """Send a message while a workflow task that records the approval answers a query."""
    repository = OrderRepository(harness.engine)
    async with run_workers(harness, repository):
        handle = await harness.place(order)
        await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.signal(OrderWorkflow.approve)
    slow_query.is_next = True
    query = asyncio.ensure_future(handle.query(OrderWorkflow.status))
    await asyncio.sleep(_SERVER_HAS_QUERY_SECONDS)
    async with run_workers(harness, repository):
        await slow_query.wait()
        await send(handle)
        await query
        with suppress(WorkflowFailureError):
            await handle.result()
    return handle


async def replay(handle: Handle) -> None:
    replayer = Replayer(
        workflows=[OrderWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(await handle.fetch_history())


@pytest.mark.parametrize("channel", ["signal", "temporal", "address"])
async def test_a_message_that_arrives_as_the_approval_is_recorded_replays(
    without_workers: OrderHarness, make_order: Order, slow_query: SlowQuery, channel: str
) -> None:
    async def send(handle: Handle) -> None:
        match channel:
            case "signal":
                await handle.signal(OrderWorkflow.cancel, CANCEL)
            case "address":
                await handle.signal(OrderWorkflow.change_address, ELSEWHERE)
            case _:
                await handle.cancel()

    order = make_order()
    handle = await end_with_message_during_approval(without_workers, order, slow_query, send)

    await replay(handle)
    expected = "address_changed" if channel == "address" else "order_cancelled"
    assert expected in await without_workers.timeline(order.order_id)


async def test_an_update_that_arrives_as_the_approval_is_recorded_has_to_be_sent_again(
    without_workers: OrderHarness, make_order: Order, slow_query: SlowQuery
) -> None:
    async def send(handle: Handle) -> None:
        with pytest.raises(WorkflowUpdateFailedError) as rejected:
            await handle.execute_update(OrderWorkflow.cancel_order, CANCEL)
        assert isinstance(rejected.value.cause, ApplicationError)
        assert rejected.value.cause.type == WORKFLOW_BUSY

    order = make_order()
    handle = await end_with_message_during_approval(without_workers, order, slow_query, send)

    await replay(handle)
