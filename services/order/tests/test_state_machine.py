"""Any command at any time, against a small model: everybody must agree after each step.

`FUZE_STATE_MACHINE_EXAMPLES` says how many orders live.
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
from order_harness import Handle
from order_model import ENDED, OrderModel
from sync_harness import SyncHarness
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError

from fuze_contracts import payment
from fuze_contracts.order import (
    TERMINAL_STATUSES,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    EventType,
    OrderLine,
    OrderStatus,
    OrderWorkflow,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
)
from fuze_contracts.shipping import Address, DeliveryStatus, DeliveryStatusChanged
from fuze_devstack.postgres import EmbeddedPostgres

LIVES = int(os.environ.get("FUZE_STATE_MACHINE_EXAMPLES", "200"))
STEPS = 30
_ENOUGH_FOR_EVERY_WAY = 200
ADDRESSES = {
    "good": Address(zip_code="94105"),
    "invalid": Address(zip_code="NOWHERE"),
    "refused": Address(zip_code="99999"),
}
SELDOM = st.sampled_from([False] * 9 + [True])
"""What ends an order at once must not end most of them."""
YOUTHS: list[list[str]] = [
    [],
    ["proceeds"],
    ["proceeds"] * 2,
    ["proceeds"] * 3,
    ["proceeds", "is declined"],
    ["proceeds", "is declined", "is forgotten"],
    ["proceeds", "is declined", "proceeds", "proceeds"],
    ["proceeds", "proceeds", "proceeds", "arrives"],
    ["proceeds", "proceeds", "proceeds", "comes back"],
    ["is forgotten"],
]
"""What an order goes through first, so that many come far, and some to every end."""


@pytest.fixture(scope="module")
def runner(postgres: EmbeddedPostgres) -> Iterator[SyncHarness]:
    runner = SyncHarness(postgres)
    yield runner
    runner.close()


class WholeLife(RuleBasedStateMachine):
    """One order, everything that can be done to it, and what should come of it."""

    runner: SyncHarness
    lived: ClassVar[int] = 0
    """Lives of all their steps: Hypothesis also tries some that cannot go on."""
    happened: ClassVar[set[str]] = set()
    ends: ClassVar[set[OrderStatus]] = set()

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self.harness = self.runner.harness
        self.harness.payments.may_answer.clear()
        self.harness.payments.outcome = None
        self.harness.payments.void_outcome = None
        self.harness.shipping.may_dispatch.clear()
        self.harness.shipping.rejected_zip_codes = {ADDRESSES["refused"].zip_code}

    @initialize(
        address=st.sampled_from(["good"] * 4 + ["invalid"] + ["refused"] * 2),
        follows=st.booleans(),
        lands=st.booleans(),
        youth=st.sampled_from(YOUTHS),
    )
    def place(self, address: str, youth: list[str], *, follows: bool, lands: bool) -> None:
        order_id = uuid4()
        self.order = PlaceOrder(
            order_id=order_id,
            address=ADDRESSES[address],
            fingerprint="a-fingerprint",
            lines=(OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            payment_method="pm_card_visa",
            payment_token=f"{order_id}:1",
            approval_reminder_before=timedelta(days=30),  # longer than the deadline: none
            delivery_tracking_period=timedelta(days=7) if follows else None,
        )
        self.model = OrderModel(address, follows=follows, lands=lands)
        self.handle: Handle = self.runner.run(self.harness.place(self.order))
        for step in youth:
            self.runner.run(self._agree())
            self._grow(step)

    def _grow(self, step: str) -> None:
        if step == "is declined" and self._is_charging():
            self.provider_answers(declines=True)
        elif step == "is forgotten" and self.model.waits:
            self.nobody_comes_in_time(now=True)
        elif step in {"arrives", "comes back"} and self.model.follows:
            self.parcel_ends_its_way(arrives=step == "arrives")
        elif step == "proceeds":
            self.proceed()

    @rule(channel=st.sampled_from(["update", "signal"]))
    def approve(self, channel: str) -> None:
        expected = self.model.approve(channel)
        approval = ApproveOrder(actor="grace")
        if channel == "update":
            self._ask(OrderWorkflow.approve_order, approval, expected)
        else:
            self._tell(OrderWorkflow.approve, approval)

    @rule(now=SELDOM)
    def reject(self, *, now: bool) -> None:
        if not now:
            return
        expected = self.model.reject()
        self._ask(OrderWorkflow.reject_order, RejectOrder(actor="grace"), expected)

    @rule(channel=st.sampled_from(["update", "signal"]), now=SELDOM)
    def cancel(self, channel: str, *, now: bool) -> None:
        if not now:
            return
        expected = self.model.cancel()
        request = CancelOrder(actor="ada", reason="changed my mind")
        if channel == "update":
            self._ask(OrderWorkflow.cancel_order, request, expected)
        else:
            self._tell(OrderWorkflow.cancel, request)

    @rule(now=SELDOM)
    def cancel_through_temporal(self, *, now: bool) -> None:
        if not now:
            return
        self.model.cancel_through_temporal()
        self.runner.run(self._cancel_through_temporal())

    @rule()
    def retry(self) -> None:
        expected = self.model.retry()
        self.harness.payments.reached.clear()
        self._ask(OrderWorkflow.retry_step, RetryOrder(actor="grace"), expected)
        if expected is None:
            self.runner.run(self.harness.payments.reached.wait())

    @rule(
        channel=st.sampled_from(["update", "signal"]),
        address=st.sampled_from(["good", "invalid", "refused"]),
    )
    def change_order_address(self, channel: str, address: str) -> None:
        expected = self.model.change_order_address(address, channel)
        request = ChangeAddress(address=ADDRESSES[address], actor="ada")
        if channel == "update":
            self._ask(OrderWorkflow.change_order_address, request, expected)
        else:
            self._tell(OrderWorkflow.change_address, request)

    @rule()
    def change_payment_method(self) -> None:
        expected = self.model.change_payment_method()
        self._ask(
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
        """Do what most orders need next, so that many come far."""
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

    @precondition(lambda self: self.model.follows)
    @rule(arrives=st.booleans())
    def parcel_ends_its_way(self, *, arrives: bool) -> None:
        if arrives:
            self.model.parcel_arrives()
        else:
            self.model.parcel_comes_back()
        self._report(DeliveryStatus.DELIVERED if arrives else DeliveryStatus.RETURNED)

    @precondition(lambda self: self.model.waits)
    @rule(now=SELDOM)
    def nobody_comes_in_time(self, *, now: bool) -> None:
        if self.model.status is OrderStatus.AWAITING_APPROVAL and not now:
            return
        self.model.nobody_comes_in_time()
        self.runner.run(self.harness.environment.sleep(timedelta(days=8)))

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "life"):
            return
        self.runner.run(self._agree())
        self._steps += 1

    def teardown(self) -> None:
        if not hasattr(self, "life"):
            return
        WholeLife.lived += self._steps >= STEPS
        if not self.model.has_ended:
            if self.model.follows:
                self.parcel_ends_its_way(arrives=True)
            else:
                self.cancel("update", now=True)
            self.runner.run(self._agree())
        WholeLife.happened.update(self.model.events)
        WholeLife.ends.add(self.model.status)

    def _is_charging(self) -> bool:
        return self.model.status is OrderStatus.APPROVED and not self.model.needs_attention

    def _report(self, state: DeliveryStatus) -> None:
        parcel = DeliveryStatusChanged(order_id=self.order.order_id, status=state)
        self._tell(OrderWorkflow.report_delivery_status, parcel)

    async def _cancel_through_temporal(self) -> None:
        try:
            await self.handle.cancel()
        except RPCError:
            assert self.model.has_ended

    def _ask(self, update: Any, request: Any, expected: str | None) -> None:  # noqa: ANN401 - any
        """Ask for a decision, and compare it with the model's: None is yes."""

        async def asked() -> str | None:
            if expected == ENDED:
                # Between its last event and its end a workflow still answers, if only to refuse.
                with suppress(WorkflowFailureError):
                    await self.handle.result()
            try:
                await self.handle.execute_update(update, request)
            except WorkflowUpdateFailedError as error:
                return getattr(error.cause, "type", None) or "refused"
            except RPCError:
                return ENDED
            return None

        assert self.runner.run(asked()) == expected

    def _tell(self, signal: Any, request: Any) -> None:  # noqa: ANN401 - any
        async def told() -> None:
            try:
                await self.handle.signal(signal, request)
            except RPCError:
                assert self.model.status.is_terminal  # the order may end by what it is told

        self.runner.run(told())

    async def _until_after(self, seq: int) -> None:
        while len(await self.harness.timeline(self.order.order_id)) <= seq:
            await asyncio.sleep(0.01)

    async def _agree(self) -> None:
        order_id, life = self.order.order_id, self.model
        await _eventually(lambda: self.harness.timeline(order_id), life.events)
        assert await self.harness.row_status(order_id) == life.status
        assert (order_id in self.harness.shipping.dispatched) == life.is_handed_over
        voided = [one for one in self.harness.payments.voided if one.charge.order_id == order_id]
        assert len(voided) == life.voids
        if life.has_ended:
            result = await self._result()
            assert result is None or result == (life.status, life.payment_status)
        else:
            live = await self.handle.query(OrderWorkflow.status)
            assert (live.status, live.payment_status) == (life.status, life.payment_status)
            assert (live.last_seq, live.needs_attention) == (life.seq, life.needs_attention)
        self.harness.payments.void_outcome = payment.Voided() if life.loses_its_charge else None

    async def _result(self) -> tuple[Any, Any] | None:
        if self.model.is_invalid:  # its row is written before its workflow fails
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
    """Wait until as much has happened as should have, and compare."""
    for _ in range(500):
        if len(found := await read()) >= len(expected):
            break
        await asyncio.sleep(0.01)
    assert found == expected


@pytest.mark.timeout(600)
def test_whatever_is_done_to_an_order_everybody_agrees_where_it_stands(runner: SyncHarness) -> None:
    WholeLife.runner = runner
    while WholeLife.lived < LIVES:
        WholeLife.TestCase.settings = settings(
            max_examples=LIVES - WholeLife.lived,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
        )
        WholeLife.TestCase().runTest()

    if LIVES >= _ENOUGH_FOR_EVERY_WAY:
        assert WholeLife.ends == TERMINAL_STATUSES
        assert WholeLife.happened == set(EventType) - {EventType.APPROVAL_REMINDER_SENT}
