"""Random commands at random times: after each, the order agrees with a small reference model.

`FUZE_STATE_MACHINE_EXAMPLES` sets the number of orders: few in `make test`, 200 in `make proof`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from order_harness import (
    NOT_SERVED,
    Handle,
)
from order_model import ENDED, OrderModel
from sync_harness import SyncHarness
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError

from fuze_contracts import payment
from fuze_contracts.address import Address
from fuze_contracts.order import (
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    OrderWorkflow,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
)
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import TERMINAL_STATUSES, EventType, OrderStatus
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_devstack.postgres import EmbeddedPostgres

EXAMPLES = int(os.environ.get("FUZE_STATE_MACHINE_EXAMPLES", "10"))
STEPS = 30
EXAMPLES_FOR_COVERAGE = 200
"""With so many, every event and every end have to occur."""
ADDRESSES = {
    "good": Address(country="US", postal_code="94105"),
    "invalid": NOT_SERVED,
    "rejected": Address(country="US", postal_code="99999"),
}
PLAYED_ELSEWHERE = {event for event in EventType if event.startswith("return_")} | {
    EventType.APPROVAL_REMINDER_SENT,
    EventType.ORDER_RECOVERED,
    EventType.REFUND_REQUESTED,
    EventType.REFUND_FAILED,
}
"""Events that a return, a clock, an operator or a refund adds; the tests of those have them."""
RARELY = st.sampled_from([False] * 9 + [True])
"""A command that ends an order must not end most of them at once."""
SETUP_PATHS: list[list[str]] = [
    [],
    ["proceed"],
    ["proceed"] * 2,
    ["proceed"] * 3,
    ["proceed", "fail", "proceed"],
    ["proceed", "decline"],
    ["proceed", "decline", "deadline"],
    ["proceed", "decline", "proceed", "proceed"],
    ["proceed", "proceed", "proceed", "delivered"],
    ["proceed", "proceed", "proceed", "returned"],
    ["deadline"],
]
"""The steps before the random ones, so that many orders come far, and some to every end."""


@pytest.fixture(scope="module")
def runner(postgres: EmbeddedPostgres) -> Iterator[SyncHarness]:
    runner = SyncHarness(postgres)
    yield runner
    runner.close()


class OrderStateMachine(RuleBasedStateMachine):
    """One order, the commands that it accepts, and their expected outcomes."""

    runner: SyncHarness
    completed: ClassVar[int] = 0
    """Examples with all their steps: Hypothesis also tries some that cannot continue."""
    seen_events: ClassVar[set[str]] = set()
    seen_ends: ClassVar[set[OrderStatus]] = set()

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self.harness = self.runner.harness
        self.harness.payments.may_answer.clear()
        self.harness.payments.outcome = None
        self.harness.payments.void_outcome = None
        self.harness.shipping.may_dispatch.clear()
        self.harness.shipping.rejected_postal_codes = {ADDRESSES["rejected"].postal_code}

    @initialize(
        address=st.sampled_from(["good"] * 4 + ["invalid"] + ["rejected"] * 2),
        tracks=st.booleans(),
        charge_reaches_provider=st.booleans(),
        requires_shipping=st.sampled_from([True] * 4 + [False]),
        setup_path=st.sampled_from(SETUP_PATHS),
    )
    def place(
        self,
        address: str,
        setup_path: list[str],
        *,
        tracks: bool,
        charge_reaches_provider: bool,
        requires_shipping: bool,
    ) -> None:
        order_id = uuid4()
        line = OrderLine(
            sku="TEAPOT-1",
            quantity=3,
            unit_price_minor=1999,
            requires_shipping=requires_shipping,
        )
        self.order = PlaceOrder(
            order_id=order_id,
            address=ADDRESSES[address],
            fingerprint="a-fingerprint",
            lines=(line,),
            payment_method="pm_card_visa",
            payment_token=f"{order_id}:1",
            approval_reminder_before=timedelta(days=30),  # longer than the deadline: none
            delivery_tracking_period=timedelta(days=7) if tracks else None,
        )
        self.model = OrderModel(
            address,
            tracks=tracks,
            charge_reaches_provider=charge_reaches_provider,
            requires_shipping=requires_shipping,
        )
        self.handle: Handle = self.runner.run(self.harness.place(self.order))
        for step in setup_path:
            self.runner.run(self._compare())
            self._run_setup_step(step)

    def _run_setup_step(self, step: str) -> None:
        if step == "decline" and self._is_charging():
            self.provider_answers(declines=True)
        elif step == "fail" and self._is_charging():
            self.provider_fails()
        elif step == "deadline" and self.model.is_waiting:
            self.deadline_passes(now=True)
        elif step in {"delivered", "returned"} and self.model.is_tracking:
            self.delivery_ends(is_delivered=step == "delivered")
        elif step == "proceed":
            self.proceed()

    @rule(channel=st.sampled_from(["update", "signal"]))
    def approve(self, channel: str) -> None:
        expected = self.model.approve(channel)
        approval = ApproveOrder(actor="grace")
        if channel == "update":
            self._update(OrderWorkflow.approve_order, approval, expected)
        else:
            self._signal(OrderWorkflow.approve, approval)

    @rule(now=RARELY)
    def reject(self, *, now: bool) -> None:
        if not now:
            return
        expected = self.model.reject()
        self._update(OrderWorkflow.reject_order, RejectOrder(actor="grace"), expected)

    @rule(channel=st.sampled_from(["update", "signal"]), now=RARELY)
    def cancel(self, channel: str, *, now: bool) -> None:
        if not now:
            return
        expected = self.model.cancel()
        request = CancelOrder(actor="ada", reason="changed my mind")
        if channel == "update":
            self._update(OrderWorkflow.cancel_order, request, expected)
        else:
            self._signal(OrderWorkflow.cancel, request)

    @rule(now=RARELY)
    def cancel_through_temporal(self, *, now: bool) -> None:
        if not now:
            return
        self.model.cancel_through_temporal()
        self.runner.run(self._cancel_through_temporal())

    @rule()
    def retry(self) -> None:
        expected = self.model.retry()
        self.harness.payments.reached.clear()
        self._update(OrderWorkflow.retry_step, RetryOrder(actor="grace"), expected)
        if expected is None:
            self.runner.run(self.harness.payments.reached.wait())

    @rule(
        channel=st.sampled_from(["update", "signal"]),
        address=st.sampled_from(["good", "invalid", "rejected"]),
    )
    def change_order_address(self, channel: str, address: str) -> None:
        expected = self.model.change_order_address(address, channel)
        request = ChangeAddress(address=ADDRESSES[address], actor="ada")
        if channel == "update":
            self._update(OrderWorkflow.change_order_address, request, expected)
        else:
            self._signal(OrderWorkflow.change_address, request)

    @rule()
    def change_payment_method(self) -> None:
        expected = self.model.change_payment_method()
        self._update(
            OrderWorkflow.change_payment_method,
            ChangePaymentMethod(payment_method="pm_other"),
            expected,
        )

    @precondition(lambda self: self._is_charging())
    @rule()
    def provider_fails(self) -> None:
        payments = self.harness.payments
        payments.outcome = ApplicationError("no such method", non_retryable=True)
        before = self.model.seq
        self.model.provider_fails()
        payments.may_answer.set()
        self.runner.run(self._until_after(before))
        payments.may_answer.clear()

    @precondition(lambda self: self._is_charging())
    @rule(declines=st.booleans())
    def provider_answers(self, *, declines: bool) -> None:
        payments = self.harness.payments
        declined = payment.Declined(payment_id=uuid4(), code="card_declined")
        payments.outcome = declined if declines else None
        before = self.model.seq
        self.model.provider_answers(declines=declines)
        payments.may_answer.set()
        self.runner.run(self._until_after(before))
        payments.may_answer.clear()

    @rule()
    def proceed(self) -> None:
        """Take the step that most orders need next, so that many come far."""
        match self.model.status:
            case OrderStatus.AWAITING_APPROVAL:
                self.approve("update")
            case OrderStatus.APPROVED if self.model.needs_attention:
                self.retry()
            case OrderStatus.APPROVED:
                self.provider_answers(declines=False)
            case OrderStatus.PREPARING:
                self.carrier_answers()
            case OrderStatus.AWAITING_PAYMENT_METHOD:
                self.change_payment_method()
            case OrderStatus.AWAITING_ADDRESS:
                self.change_order_address("update", "good")
            case _:
                pass

    @precondition(lambda self: self.model.status is OrderStatus.PREPARING)
    @rule()
    def carrier_answers(self) -> None:
        before = self.model.seq
        self.model.carrier_answers()
        self.harness.shipping.may_dispatch.set()
        self.runner.run(self._until_after(before))
        self.harness.shipping.may_dispatch.clear()

    @rule()
    def parcel_moves(self) -> None:
        self._report(DeliveryStatus.IN_TRANSIT)

    @precondition(lambda self: self.model.is_tracking)
    @rule(is_delivered=st.booleans())
    def delivery_ends(self, *, is_delivered: bool) -> None:
        if is_delivered:
            self.model.parcel_is_delivered()
        else:
            self.model.parcel_is_returned()
        self._report(DeliveryStatus.DELIVERED if is_delivered else DeliveryStatus.RETURNED)

    @precondition(lambda self: self.model.is_waiting)
    @rule(now=RARELY)
    def deadline_passes(self, *, now: bool) -> None:
        if self.model.status is OrderStatus.AWAITING_APPROVAL and not now:
            return
        self.model.deadline_passes()
        self.runner.run(self.harness.environment.sleep(timedelta(days=8)))

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        self.runner.run(self._compare())
        self._steps += 1

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        OrderStateMachine.completed += self._steps >= STEPS
        if not self.model.has_ended:
            if self.model.is_tracking:
                self.delivery_ends(is_delivered=True)
            else:
                self.cancel("update", now=True)
            self.runner.run(self._compare())
        OrderStateMachine.seen_events.update(self.model.events)
        OrderStateMachine.seen_ends.add(self.model.status)

    def _is_charging(self) -> bool:
        return self.model.status is OrderStatus.APPROVED and not self.model.needs_attention

    def _report(self, state: DeliveryStatus) -> None:
        parcel = DeliveryStatusChanged(order_id=self.order.order_id, status=state)

        async def send() -> None:
            try:
                await self.handle.execute_update(OrderWorkflow.report_delivery_status, parcel)
            except RPCError:
                assert self.model.status.is_terminal

        self.runner.run(send())

    async def _cancel_through_temporal(self) -> None:
        try:
            await self.handle.cancel()
        except RPCError:
            assert self.model.has_ended

    def _update(self, update: Any, request: Any, expected: str | None) -> None:  # noqa: ANN401 - any
        """Execute an update, and compare its outcome with the model's; None is success."""

        async def execute() -> str | None:
            if expected == ENDED:
                # Between its last event and its end a workflow still rejects updates.
                with suppress(WorkflowFailureError):
                    await self.handle.result()
            try:
                await self.handle.execute_update(update, request)
            except WorkflowUpdateFailedError as error:
                return getattr(error.cause, "type", None) or "rejected"
            except RPCError:
                return ENDED
            return None

        assert self.runner.run(execute()) == expected

    def _signal(self, signal: Any, request: Any) -> None:  # noqa: ANN401 - any
        async def send() -> None:
            try:
                await self.handle.signal(signal, request)
            except RPCError:
                assert self.model.status.is_terminal  # the signal may end the order

        self.runner.run(send())

    async def _until_after(self, seq: int) -> None:
        while len(await self.harness.timeline(self.order.order_id)) <= seq:
            await asyncio.sleep(0.01)

    async def _compare(self) -> None:
        order_id, model = self.order.order_id, self.model
        await _eventually(lambda: self.harness.timeline(order_id), model.events)
        assert await self.harness.row_status(order_id) == model.status
        assert (order_id in self.harness.shipping.dispatched) == model.is_dispatched
        voided = [one for one in self.harness.payments.voided if one.charge.order_id == order_id]
        assert len(voided) == model.voids
        if model.has_ended:
            result = await self._result()
            assert result is None or result == (model.status, model.payment_status)
        else:
            live = await self.handle.query(OrderWorkflow.status)
            assert (live.status, live.payment_status) == (model.status, model.payment_status)
            assert (live.last_seq, live.needs_attention) == (model.seq, model.needs_attention)
        self.harness.payments.void_outcome = payment.Voided() if model.is_charge_lost else None

    async def _result(self) -> tuple[Any, Any] | None:
        if self.model.is_invalid:  # its row is committed before its workflow fails
            with pytest.raises(WorkflowFailureError):
                await self.handle.result()
            return None
        if self.model.is_cancelled_by_temporal:
            with pytest.raises(WorkflowFailureError) as ended:
                await self.handle.result()
            assert isinstance(ended.value.cause, CancelledError)
            return None
        result = await self.handle.result()
        return result.status, result.payment_status


async def _eventually(read: Callable[[], Awaitable[list[str]]], expected: list[str]) -> None:
    """Wait for the expected number of events, and compare."""
    for _ in range(500):
        if len(found := await read()) >= len(expected):
            break
        await asyncio.sleep(0.01)
    assert found == expected


@pytest.mark.timeout(600)
def test_an_order_agrees_with_the_model_after_every_command(
    runner: SyncHarness,
) -> None:
    OrderStateMachine.runner = runner
    while OrderStateMachine.completed < EXAMPLES:
        OrderStateMachine.TestCase.settings = settings(
            max_examples=EXAMPLES - OrderStateMachine.completed,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
        )
        OrderStateMachine.TestCase().runTest()

    if EXAMPLES >= EXAMPLES_FOR_COVERAGE:
        assert OrderStateMachine.seen_ends == TERMINAL_STATUSES
        assert OrderStateMachine.seen_events == set(EventType) - PLAYED_ELSEWHERE
