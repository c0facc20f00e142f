"""Orders while the encryption of payloads is switched on."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from order_harness import OrderHarness, run_workers, until, waits_for
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.address import Address
from fuze_contracts.order import ApproveOrder, CancelOrder, OrderWorkflow, PlaceOrder
from fuze_contracts.order_states import OrderStatus, WaitingFor
from fuze_order.repository import OrderRepository
from fuze_runtime.temporal import build_data_converter

Order = Callable[..., PlaceOrder]

_KEYS = SecretStr(f"2026:{base64.b64encode(b'k' * 32).decode()}")
_CANARY = "Canary"


def _with_encryption(harness: OrderHarness, keys: SecretStr | None = _KEYS) -> OrderHarness:
    """Return the same service, whose processes have the keys."""
    client = harness.environment.client
    encrypting = Client(
        client.service_client,
        namespace=client.namespace,
        data_converter=build_data_converter(keys),
    )
    environment = cast("WorkflowEnvironment", SimpleNamespace(client=encrypting))
    return replace(harness, environment=environment)


async def test_the_history_of_an_order_is_ciphertext(
    without_workers: OrderHarness, make_order: Order
) -> None:
    harness = _with_encryption(without_workers)
    address = Address(country="US", postal_code="10001", name=_CANARY)
    async with run_workers(harness, OrderRepository(harness.engine)):
        order = await harness.place(make_order(address=address, customer=_CANARY))
        await until(order, waits_for(WaitingFor.APPROVAL))
        await order.execute_update(
            OrderWorkflow.cancel_order, CancelOrder(actor=_CANARY, reason=_CANARY)
        )
        assert (await order.result()).status is OrderStatus.CANCELLED

    history = await order.fetch_history()
    assert all(_CANARY.encode() not in event.SerializeToString() for event in history.events)


async def test_an_order_from_before_the_encryption_goes_on_encrypted(
    without_workers: OrderHarness, make_order: Order
) -> None:
    repository = OrderRepository(without_workers.engine)
    async with run_workers(without_workers, repository):
        placed = make_order(customer="Before")
        order = await without_workers.place(placed)
        await until(order, waits_for(WaitingFor.APPROVAL))
    harness = _with_encryption(without_workers)
    async with run_workers(harness, repository):
        same = harness.environment.client.get_workflow_handle_for(OrderWorkflow.run, order.id)
        await same.signal(OrderWorkflow.approve, ApproveOrder(actor=_CANARY))
        assert (await same.result()).status is OrderStatus.SHIPPED

    history = b"".join(one.SerializeToString() for one in (await same.fetch_history()).events)
    assert b"Before" in history
    assert _CANARY.encode() not in history
    assert "order_shipped" in await harness.timeline(placed.order_id)


async def test_a_worker_without_the_key_leaves_a_signal_to_one_that_has_it(
    without_workers: OrderHarness, make_order: Order
) -> None:
    repository = OrderRepository(without_workers.engine)
    without_key = _with_encryption(without_workers, None)
    async with run_workers(without_key, repository):
        order = await without_key.place(make_order())
        await until(order, waits_for(WaitingFor.APPROVAL))
        harness = _with_encryption(without_workers)
        same = harness.environment.client.get_workflow_handle_for(OrderWorkflow.run, order.id)
        await same.signal(OrderWorkflow.approve, ApproveOrder(actor=_CANARY))
        async with asyncio.timeout(10):
            while (await same.describe()).raw_description.pending_workflow_task.attempt < 2:
                await asyncio.sleep(0.05)
    async with run_workers(harness, repository):
        assert (await same.result()).status is OrderStatus.SHIPPED
