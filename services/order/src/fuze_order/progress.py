"""Where an order stands, and how it gets further: a step counts once it is committed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import JsonValue
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts.order import (
    ORDER_REJECTED,
    EventType,
    OrderResult,
    OrderSnapshot,
    OrderStatus,
    PaymentStatus,
    PlaceOrder,
    RetryOrder,
    StepFailure,
    WaitingFor,
)
from fuze_contracts.shipping import Address
from fuze_order.activities import OrderActivities
from fuze_order.asked import Asked
from fuze_order.lifecycle import needs_attention_after, payment_after, status_after
from fuze_order.messages import ReceiveOrder, Transition, ValidateOrder
from fuze_runtime.step_execution import execute_local_then_remote, run_to_completion

Result = TypeVar("Result")

THE_ORDER_SERVICE = "order-service"

_REFUSAL_OF = {EventType.ADDRESS_CHANGED: EventType.ADDRESS_CHANGE_REJECTED}


class OvertakenError(Exception):
    """Another event was committed under this number than was asked for.

    A workflow task was lost after its local activity had committed, and the next attempt, knowing
    more, decided otherwise. What is committed counts: the order is there, and goes on from there.
    """


class OrderProgress:
    """The order's state inside its workflow, moved only by what PostgreSQL has committed.

    `on_cancel` hears of Temporal's own cancellation while a step is under way: the step is
    finished all the same, so that its outcome is known.
    """

    def __init__(self, order: PlaceOrder, *, on_cancel: Callable[[], None]) -> None:
        self._order = order
        self._asked_to_cancel = on_cancel
        self.status = OrderStatus.RECEIVED
        self.payment_status = PaymentStatus.NONE
        self.status_since = self.received_at = workflow.now()
        self._seq = 0
        self.reason: str | None = None
        self._tracking_number: str | None = None
        self._waiting_for: WaitingFor | None = None
        self._deadline: datetime | None = None
        self._last_error: str | None = None
        self.needs_attention = False
        self.retry_asked: Asked[RetryOrder] | None = None

    async def receive(self) -> None:
        """Commit the order itself, as event 1."""
        await self.finish(
            execute_local_then_remote(
                OrderActivities.order_received,
                ReceiveOrder(
                    order=self._order,
                    run_id=workflow.info().first_execution_run_id,
                    occurred_at=self.received_at,
                ),
                summary="order received",
                on_error=self._wait_for_the_database,
            )
        )
        self._seq = 1

    async def validate(self) -> None:
        """Commit that the order is valid.

        Raises:
            ApplicationError: `ORDER_REJECTED`, final, after the rejection was committed.

        """
        try:
            await self.finish(
                execute_local_then_remote(
                    OrderActivities.validate_order,
                    ValidateOrder(order=self._order, seq=self._seq + 1, occurred_at=workflow.now()),
                    summary="validate order",
                    on_error=self._wait_for_the_database,
                )
            )
        except ApplicationError as error:
            if error.type == ORDER_REJECTED:
                self._seq += 1
                self._enter(OrderStatus.REJECTED, self.payment_status, reason=error.message)
            raise
        self._seq += 1
        self._enter(OrderStatus.AWAITING_APPROVAL, self.payment_status)

    async def record(  # noqa: PLR0913 - one event has this many sides
        self,
        event: EventType,
        *,
        actor: str = THE_ORDER_SERVICE,
        reason: str | None = None,
        address: Address | None = None,
        tracking_number: str | None = None,
        payment_method: str | None = None,
        payment_token: str | None = None,
        tracking_deadline: datetime | None = None,
        details: dict[str, JsonValue] | None = None,
    ) -> Transition:
        """Commit one event with the row it leads to, then be where the commit says.

        Returns what was committed; in place of a new address that may be its refusal.

        Raises:
            OvertakenError: an attempt that this workflow never heard of has committed another
                event under the same number; that is where the order is.

        """
        status = status_after(event, self.status)
        committed = await self.finish(
            execute_local_then_remote(
                OrderActivities.transition_recorded,
                Transition(
                    order_id=self._order.order_id,
                    seq=self._seq + 1,
                    type=event,
                    status=status,
                    payment_status=payment_after(event, self.payment_status),
                    actor=actor,
                    occurred_at=workflow.now(),
                    reason=reason or (self.reason if status is self.status else None),
                    address=address,
                    tracking_number=tracking_number,
                    payment_method=payment_method,
                    payment_token=payment_token,
                    tracking_deadline=tracking_deadline,
                    needs_attention=needs_attention_after(
                        event, needs_attention=self.needs_attention
                    ),
                    details=details or {},
                ),
                summary=event.replace("_", " "),
                on_error=self._wait_for_the_database,
            )
        )
        self._seq += 1
        self.needs_attention = committed.needs_attention
        self._tracking_number = committed.tracking_number or self._tracking_number
        workflow.logger.info(
            committed.type,
            extra={"seq": self._seq, "status": committed.status, "actor": committed.actor},
        )
        self._enter(committed.status, committed.payment_status, reason=committed.reason)
        if committed.type not in {event, _REFUSAL_OF.get(event)}:
            raise OvertakenError(f"{committed.type} instead of {event}")
        return committed

    async def call_for_attention(self, trouble: StepFailure) -> None:
        """Let an operator see that a step keeps failing; it is tried on all the same."""
        workflow.metric_meter().create_counter(
            "fuze_orders_needing_attention", "Steps that kept failing for too long"
        ).add(1, {"step": trouble.step})
        await self.record(
            EventType.NEEDS_ATTENTION,
            details={"step": trouble.step, "last_error": trouble.last_error},
        )

    async def is_valid(self, address: Address) -> bool:
        """Judge an address by today's rules; the judgement stays when the rules change."""
        return await self.finish(
            execute_local_then_remote(
                OrderActivities.address_validated, address, summary="judge the address"
            )
        )

    def is_to_retry(self) -> bool:
        """Whether somebody wants the step tried again; asked anew after each wait."""
        return self.retry_asked is not None

    async def retry(self) -> None:
        """Write who has the step tried again, and answer."""
        if asked := self.retry_asked:
            await self.record(EventType.RETRY_REQUESTED, actor=asked.request.actor)
            asked.accept()
            self.retry_asked = None

    async def wait(self, condition: Callable[[], object]) -> None:
        """Wait for something to happen, hearing of Temporal's cancellation meanwhile."""
        while not condition():
            try:
                await workflow.wait_condition(lambda: bool(condition()))
            except asyncio.CancelledError:
                self._asked_to_cancel()

    async def finish(self, step: Awaitable[Result]) -> Result:
        """Wait for a step, and for all of it."""
        return await run_to_completion(step, on_cancel=self._asked_to_cancel)

    async def wait_until(
        self,
        decided: Callable[[], object],
        whom: WaitingFor,
        deadline: datetime,
        *,
        wake_at: datetime | None = None,
    ) -> bool:
        """Wait for someone to decide, or to cancel.

        False where nobody does by `wake_at`, or by the deadline without one.
        """
        what = whom.replace("_", " ")
        self.wait_for(
            whom, f"waiting for {what} until {deadline:%Y-%m-%d %H:%M} UTC", deadline=deadline
        )
        try:
            await workflow.wait_condition(
                lambda: bool(decided()),
                timeout=max((wake_at or deadline) - workflow.now(), timedelta(0)),
                timeout_summary=f"{what} {'reminder' if wake_at else 'deadline'}",
            )
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._asked_to_cancel()
        finally:
            self.go_on()
        return True

    def wait_for(self, whom: WaitingFor, details: str, *, deadline: datetime | None = None) -> None:
        """Tell whoever asks what the order waits for; `details` is for an operator's eyes."""
        self._waiting_for, self._deadline = whom, deadline
        workflow.set_current_details(details)

    def go_on(self) -> None:
        """Tell whoever asks that the wait is over."""
        self._waiting_for = self._deadline = None

    def live_status(self) -> OrderSnapshot:
        """Return where the order stands now."""
        return OrderSnapshot(
            order_id=self._order.order_id,
            status=self.status,
            payment_status=self.payment_status,
            last_seq=self._seq,
            status_since=self.status_since,
            waiting_for=self._waiting_for,
            deadline=self._deadline,
            last_error=self._last_error,
            reason=self.reason,
            tracking_number=self._tracking_number,
            needs_attention=self.needs_attention,
        )

    def result(self) -> OrderResult:
        """Return how the order ended."""
        return OrderResult(
            order_id=self._order.order_id,
            status=self.status,
            payment_status=self.payment_status,
            reason=self.reason,
            tracking_number=self._tracking_number,
        )

    def _enter(
        self, status: OrderStatus, payment_status: PaymentStatus, *, reason: str | None = None
    ) -> None:
        if status is not self.status:
            self.status_since = workflow.now()
        self.status, self.payment_status, self.reason = status, payment_status, reason

    def _wait_for_the_database(self, error: str | None) -> None:
        self._waiting_for = WaitingFor.DATABASE if error else None
        self._last_error = error
