"""Changed workflow code while orders are in flight: replay detects it, `patched` allows it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from order_harness import FakePaymentService, OrderHarness, run_workers, until, waits_for
from patched_workflow import Change, PatchedWorkflow
from replay_helpers import RecordedHistories, find_replay_failures, replay_unsandboxed
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.workflow import NondeterminismError

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import OrderStatus, WaitingFor
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

_HISTORIES = RecordedHistories(Path(__file__).parent / "histories")
_PATCH = "core_patch"  # the marker's name, as the SDK has it

Changed = Callable[..., None]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Changed:
    """Set the change of `PatchedWorkflow`."""

    def to_have(change: Change, *, is_behind_patched: bool) -> None:
        monkeypatch.setattr(PatchedWorkflow, "change", change, raising=False)
        monkeypatch.setattr(PatchedWorkflow, "is_behind_patched", is_behind_patched, raising=False)

    return to_have


@pytest.mark.parametrize("change", Change)
async def test_a_changed_workflow_is_caught_by_a_recorded_history(
    changed: Changed, change: Change
) -> None:
    changed(change, is_behind_patched=False)

    with pytest.raises(NondeterminismError):
        await replay_unsandboxed([PatchedWorkflow], _HISTORIES["shipped"])


@pytest.mark.parametrize("change", Change)
async def test_the_same_change_behind_patched_replays_the_history(
    changed: Changed, change: Change
) -> None:
    changed(change, is_behind_patched=True)

    await replay_unsandboxed([PatchedWorkflow], _HISTORIES["shipped"])


async def test_a_change_behind_patched_replays_every_recorded_history(changed: Changed) -> None:
    changed(Change.ADDED_STEP, is_behind_patched=True)

    orders = _HISTORIES.of("OrderWorkflow")
    assert await find_replay_failures([PatchedWorkflow], orders, sandbox=False) == {}


async def test_an_order_in_flight_completes_on_patched_code_and_a_new_one_uses_the_patch(
    dev_server: WorkflowEnvironment,
    engine_of: Callable[[str], AsyncEngine],
    make_order: Callable[..., PlaceOrder],
    changed: Changed,
) -> None:
    engine = engine_of("order")
    harness, repository = (
        OrderHarness(dev_server, engine, FakePaymentService()),
        OrderRepository(engine),
    )
    harness.respond_at_once()
    async with run_workers(harness, repository):
        in_flight = await harness.place(make_order())
        await until(in_flight, waits_for(WaitingFor.APPROVAL))

    changed(Change.ADDED_STEP, is_behind_patched=True)
    async with run_workers(harness, repository, PatchedWorkflow):
        new = await harness.place(make_order())
        for order in (in_flight, new):
            await order.signal(OrderWorkflow.approve)
            assert (await order.result()).status is OrderStatus.SHIPPED

    assert Change.ADDED_STEP not in _get_patches(await in_flight.fetch_history())
    assert Change.ADDED_STEP in _get_patches(await new.fetch_history())


async def test_an_order_that_used_a_patch_is_found_before_code_without_it_is_deployed_again(
    dev_server: WorkflowEnvironment,
    engine_of: Callable[[str], AsyncEngine],
    make_order: Callable[..., PlaceOrder],
    changed: Changed,
) -> None:
    changed(Change.ADDED_STEP, is_behind_patched=True)
    engine = engine_of("order")
    harness = OrderHarness(dev_server, engine, FakePaymentService())
    harness.respond_at_once()
    async with run_workers(harness, OrderRepository(engine), PatchedWorkflow):
        order = await harness.place(make_order())
        await until(order, waits_for(WaitingFor.APPROVAL))

    with pytest.raises(NondeterminismError):
        await replay_unsandboxed([OrderWorkflow], await order.fetch_history())
    query = f"TemporalChangeVersion = '{Change.ADDED_STEP}' AND ExecutionStatus = 'Running'"
    async with asyncio.timeout(20):
        while order.id not in {one.id async for one in dev_server.client.list_workflows(query)}:
            await asyncio.sleep(0.1)


def _get_patches(history: WorkflowHistory) -> set[str]:
    """Return the ids of the patches that an order has used."""
    markers = [event.marker_recorded_event_attributes for event in history.events]
    return {
        json.loads(payload.data)["id"]
        for marker in markers
        if marker.marker_name == _PATCH
        for payload in marker.details["patch-data"].payloads
    }
