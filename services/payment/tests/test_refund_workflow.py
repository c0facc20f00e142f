"""A refund as a workflow: decided while its caller waits, and an event of its order in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from payment_harness import PaymentHarness, build_charge, build_refund
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import Worker

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.order_refunds import RefundReport, RefundReportActivities
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    ChargePayment,
    Refunded,
    RefundOutcome,
    RefundPayment,
    RefundRejected,
    RefundReserved,
    ReserveRefundOutcome,
)
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_payment.messages import ResumeRefunds
from fuze_payment.workflows import RefundWorkflow

Handle = WorkflowHandle[RefundWorkflow, RefundOutcome]


class FakeOrderService(RefundReportActivities):
    """An order service that keeps the reports in memory, once for each refund and type."""

    def __init__(self) -> None:
        self.reports: dict[tuple[UUID, str], RefundReport] = {}

    @activity.defn
    async def refund_recorded(self, report: RefundReport) -> None:
        self.reports.setdefault((report.refund_id, report.type), report)

    def events_of(self, refund: RefundPayment) -> list[str]:
        return [kind for refund_id, kind in self.reports if refund_id == refund.refund_id]


class Services:
    """The payment service and a fake order service, each with a worker that can be stopped."""

    def __init__(self, client: Client, harness: PaymentHarness) -> None:
        self.client = client
        self.harness = harness
        self.orders = FakeOrderService()

    @asynccontextmanager
    async def run(self, *, payment: bool = True, order: bool = True) -> AsyncIterator[None]:
        service = self.harness.service()
        async with AsyncExitStack() as workers:
            if order:
                activities = [self.orders.refund_recorded]
                await workers.enter_async_context(
                    Worker(self.client, task_queue=ORDER_TASK_QUEUE, activities=activities)
                )
            if payment:
                await workers.enter_async_context(
                    Worker(
                        self.client,
                        task_queue=PAYMENT_TASK_QUEUE,
                        workflows=[RefundWorkflow],
                        activities=[
                            service.refund_reserved,
                            service.payment_refunded,
                            self.harness.reports.refund_reported,
                        ],
                    )
                )
            yield

    async def reserve(self, refund: RefundPayment) -> ReserveRefundOutcome:
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            refund,
            id=refund_workflow_id(refund.order_id, refund.refund_id),
            task_queue=PAYMENT_TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return await self.client.execute_update_with_start_workflow(
            RefundWorkflow.reserve, start_workflow_operation=start, id="reserve"
        )

    def handle(self, refund: RefundPayment) -> Handle:
        return self.client.get_workflow_handle_for(
            RefundWorkflow.run, refund_workflow_id(refund.order_id, refund.refund_id)
        )

    async def resume(self) -> int:
        environment = ActivityEnvironment(client=self.client)
        resumed: int = await environment.run(
            self.harness.reports.refunds_resumed, ResumeRefunds(idle_for=timedelta(0))
        )
        return resumed


@pytest.fixture
def services(dev_server: WorkflowEnvironment, harness: PaymentHarness) -> Services:
    return Services(dev_server.client, harness)


@pytest.fixture
async def charge(harness: PaymentHarness) -> ChargePayment:
    """A charge of 10.00 USD."""
    charge = build_charge(amount_minor=1000)
    await harness.service().payment_charged(charge)
    return charge


async def test_a_refund_is_two_events_of_its_order_with_actor_and_reason(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 600).model_copy(update={"actor": "grace"})

    async with services.run():
        await services.reserve(refund)
        assert isinstance(await services.handle(refund).result(), Refunded)

    requested, refunded = services.orders.reports.values()
    assert (requested.type, refunded.type) == ("refund_requested", "payment_refunded")
    assert {(one.actor, one.reason) for one in (requested, refunded)} == {("grace", "a test")}
    assert refunded.provider_reference
    assert await services.harness.provider_balance(charge.order_id) == 400


async def test_two_refunds_of_600_of_1000_at_once_are_one_accepted_and_one_refused(
    services: Services, charge: ChargePayment
) -> None:
    refunds = [build_refund(charge, 600) for _ in range(2)]

    async with services.run():
        decisions = await asyncio.gather(*map(services.reserve, refunds))
        for refund in refunds:
            await services.handle(refund).result()

    assert sorted(one.outcome for one in decisions) == ["rejected", "reserved"]
    assert len(services.orders.reports) == 2
    assert await services.harness.provider_balance(charge.order_id) == 400


async def test_the_caller_does_not_wait_for_the_order_service_or_the_provider(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 600)
    await services.harness.set_faults(available=False)

    async with services.run(order=False):
        assert isinstance(await services.reserve(refund), RefundReserved)
    await services.harness.set_faults()
    async with services.run():
        assert isinstance(await services.handle(refund).result(), Refunded)

    assert services.orders.events_of(refund) == ["refund_requested", "payment_refunded"]


async def test_a_request_while_no_payment_worker_runs_is_decided_later(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 600)
    waiting = asyncio.ensure_future(services.reserve(refund))
    async with asyncio.timeout(20):
        while not await _is_started(services.handle(refund)):
            await asyncio.sleep(0.05)

    async with services.run():
        assert isinstance(await waiting, RefundReserved)
        assert isinstance(await services.reserve(refund), RefundReserved)
        await services.handle(refund).result()

    assert await services.harness.provider_balance(charge.order_id) == 400


async def test_a_refusal_is_repeated_although_the_workflow_has_ended(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 1001)

    async with services.run():
        first, again = await services.reserve(refund), await services.reserve(refund)

    assert first == again
    assert isinstance(again, RefundRejected)
    assert services.orders.reports == {}


async def test_a_reset_refund_is_executed_and_reported_once(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 600)

    async with services.run():
        await services.reserve(refund)
        first = await services.handle(refund).result()
        await _reset_to_start(services.client, refund)
        again = await services.handle(refund).result()

    assert first == again
    assert services.orders.events_of(refund) == ["refund_requested", "payment_refunded"]
    assert await services.harness.provider_balance(charge.order_id) == 400


async def test_reconciliation_completes_a_refund_whose_workflow_was_terminated(
    services: Services, charge: ChargePayment
) -> None:
    refund = build_refund(charge, 600)
    async with services.run(order=False):
        await services.reserve(refund)
        await services.handle(refund).terminate("an operator")

    assert await services.resume() >= 1
    async with services.run():
        assert isinstance(await services.handle(refund).result(), Refunded)

    assert services.orders.events_of(refund) == ["refund_requested", "payment_refunded"]
    assert await services.harness.provider_balance(charge.order_id) == 400
    unreported = "SELECT count(*) FROM payments.refunds JOIN payments.payments ON"
    unreported += " payments.id = payment_id WHERE order_id = :order_id AND NOT is_reported"
    assert await services.harness.scalar(unreported, charge.order_id) == 0


async def test_a_refund_that_keeps_failing_needs_attention_and_is_executed_all_the_same(
    services: Services, charge: ChargePayment
) -> None:
    limit = {"step_failure_alert_after": timedelta(seconds=2)}
    refund = build_refund(charge, 600).model_copy(update=limit)
    await services.harness.set_faults(available=False)

    async with services.run():
        await services.reserve(refund)
        async with asyncio.timeout(20):
            while "needs_attention" not in services.orders.events_of(refund):
                await asyncio.sleep(0.05)
        await services.harness.set_faults()
        assert isinstance(await services.handle(refund).result(), Refunded)

    assert services.orders.events_of(refund) == [
        "refund_requested",
        "needs_attention",
        "payment_refunded",
    ]
    assert services.orders.reports[refund.refund_id, "needs_attention"].last_error


async def test_a_refund_that_the_provider_rejects_is_reported_as_failed(
    services: Services, charge: ChargePayment
) -> None:
    # The provider has other records: there, more than half of it is refunded already.
    other = build_refund(charge, 600)
    async with services.run():
        await services.reserve(other)
        await services.handle(other).result()
        await _release_reservation(services.harness, other)
        refund = build_refund(charge, 600)
        assert isinstance(await services.reserve(refund), RefundReserved)
        outcome = await services.handle(refund).result()

    assert isinstance(outcome, RefundRejected)
    failed = services.orders.reports[refund.refund_id, "refund_failed"]
    assert failed.code == outcome.code


async def _is_started(handle: Handle) -> bool:
    descriptions = [
        one async for one in handle._client.list_workflows(f"WorkflowId = '{handle.id}'")
    ]
    return bool(descriptions)


async def _reset_to_start(client: Client, refund: RefundPayment) -> None:
    workflow_id = refund_workflow_id(refund.order_id, refund.refund_id)
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            workflow_task_finish_event_id=3,
            reason="a test",
            request_id=str(uuid4()),
        )
    )


async def _release_reservation(harness: PaymentHarness, refund: RefundPayment) -> None:
    statement = "UPDATE payments.payments SET refunded_minor = 0 WHERE order_id = :order_id"
    async with harness.engine.begin() as connection:
        await connection.execute(sa.text(statement), {"order_id": refund.order_id})
