"""How OrderWorkflow runs its steps: one at a time, each until its outcome is known."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar, Unpack

from pydantic import JsonValue
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from fuze_contracts.address import Address
from fuze_contracts.order import ORDER_ID_TAKEN, ORDER_REJECTED, PlaceOrder, StepFailure
from fuze_contracts.order_states import EventType, WaitingFor
from fuze_order.activities import OrderActivities
from fuze_order.message_handlers import MessageHandlers, PendingRequest
from fuze_order.messages import ReceiveOrder, RecordTransitions, Transition
from fuze_order.state import ORDER_SERVICE_ACTOR, ColumnChanges, OrderState
from fuze_runtime.step_execution import (
    execute_local_then_remote,
    execute_remote,
    is_schedule_to_close_timeout,
    last_attempt_error,
    run_to_completion,
)
from fuze_runtime.step_gate import StepGate

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_REPEAT_FAILED_STEP_AFTER = timedelta(seconds=1)
_MAX_REPEAT_INTERVAL = timedelta(minutes=15)
_OUTCOME_SEQ = 2
"""The number of the event that says whether an order is valid; event 1 is its receipt."""
_FINAL_ERRORS = frozenset({ORDER_ID_TAKEN, ORDER_REJECTED})


class FollowingEvent(NamedTuple):
    """An event of the order service that follows another one at once."""

    type: EventType
    details: dict[str, JsonValue]


class ConflictingCommitError(Exception):
    """Another transition is committed than the one that was requested.

    A workflow task was lost after its local activity had committed, and the next attempt, knowing
    more, decided otherwise; or the workflow was reset. The committed transition counts: the state
    is there already, and the workflow continues from it.
    """


def _never() -> bool:
    return False


async def _nothing() -> None:
    return


class StepRunner:
    """Runs steps to completion, although the workflow may be cancelled meanwhile.

    A step that was interrupted may or may not have committed. Completed, its outcome is known, and
    the workflow decides about the cancellation where it can.
    """

    def __init__(
        self, order: PlaceOrder, state: OrderState, messages: MessageHandlers, gate: StepGate
    ) -> None:
        self._order = order
        self._state = state
        self._messages = messages
        self._gate = gate

    async def receive(self) -> None:
        """Validate the order, and commit it with the outcome, as events 1 and 2.

        After a reset, continue from the order's latest transition.

        Raises:
            ApplicationError: `ORDER_ID_TAKEN`, final; or `ORDER_REJECTED`, final, with the
                violations, which are committed.

        """
        found = await self._execute(OrderActivities.validate_order, self._order, "validate order")
        violations: list[JsonValue] = [
            violation.model_dump(mode="json") for violation in found.violations
        ]
        details: dict[str, JsonValue] = {"violations": violations} if violations else {}
        outcome = self._state.transition(
            EventType.ORDER_REJECTED if violations else EventType.ORDER_VALIDATED,
            reason="; ".join(violation.message for violation in found.violations) or None,
            changes={"details": details},
            seq=_OUTCOME_SEQ,
        )
        command = ReceiveOrder(
            order=self._order,
            run_id=workflow.info().first_execution_run_id,
            occurred_at=self._state.received_at,
            outcome=outcome,
        )
        committed = await self._execute(OrderActivities.order_received, command, "order received")
        self._state.apply(committed)
        if committed.type is EventType.ORDER_REJECTED and committed.seq == outcome.seq:
            raise ApplicationError(
                committed.reason or "the order is not valid",
                committed.details.get("violations"),
                type=ORDER_REJECTED,
                non_retryable=True,
            )

    async def record_recovery(self) -> None:
        """Commit that the order continues from its row, where this run is a recovery.

        A reset commits it once more, unless it is still the latest event.
        """
        recovery = self._order.recovery
        if recovery and not self._state.status.is_terminal and not self._state.is_recovered:
            with suppress(ConflictingCommitError):
                await self.record(EventType.ORDER_RECOVERED, actor=recovery.actor)

    async def validate_address(self, address: Address) -> bool:
        """Return whether the address is valid by today's rules; a replay keeps the answer."""
        return await self._execute(
            OrderActivities.address_validated, address, "validate the address"
        )

    async def record(
        self,
        event: EventType,
        *,
        actor: str = ORDER_SERVICE_ACTOR,
        reason: str | None = None,
        local_first: bool = True,
        followed_by: FollowingEvent | None = None,
        **changes: Unpack[ColumnChanges],
    ) -> Transition:
        """Commit an event with the row that it leads to, and continue from what is committed.

        An event that follows at once is committed with it. Returns the last transition that is
        committed; in place of a new address that may be its rejection.

        Raises:
            ConflictingCommitError: something else is committed.

        """
        requested = [self._state.transition(event, actor, reason, changes)]
        if followed_by:
            requested.append(
                self._state.transition(
                    followed_by.type, changes={"details": followed_by.details}, after=requested[0]
                )
            )
        committed = await self._execute(
            OrderActivities.transitions_recorded,
            RecordTransitions(transitions=tuple(requested)),
            event.replace("_", " "),
            local_first=local_first,
        )
        self._state.apply(committed)
        is_fulfilled = committed.fulfils(requested[-1])
        for one in (*requested[:-1], committed) if is_fulfilled else (committed,):
            # Without the actor, who may be the customer: the event has it.
            workflow.logger.info(one.type, extra={"seq": one.seq, "status": one.status})
        if not is_fulfilled:
            raise ConflictingCommitError(f"{committed.type} instead of {requested[-1].type}")
        return committed

    async def record_request(
        self,
        pending: PendingRequest[Any],
        event: EventType,
        *,
        reason: str | None = None,
        **changes: Unpack[ColumnChanges],
    ) -> Transition:
        """Commit the event that was requested, and answer the request.

        The workflow task of an update may be speculative: the server forgets it when another
        update exceeds its limit of updates in flight. A local activity would have committed by
        then, and nothing would wake the order up to follow. A remote activity starts only once the
        update is in the history.
        """
        committed = await self.record(
            event,
            actor=pending.request.actor,
            reason=reason,
            local_first=not pending.is_update,
            **changes,
        )
        if committed.type is event:
            pending.accept()
        return committed

    async def flag_for_attention(self, failure: StepFailure) -> None:
        """Commit that a step keeps failing, for an operator; it is retried all the same."""
        workflow.metric_meter().create_counter(
            "fuze_steps_needing_attention_total", "Steps that kept failing for too long"
        ).add(1, {"step": failure.step})
        await self.record(
            EventType.NEEDS_ATTENTION,
            details={"step": failure.step, "last_error": failure.last_error},
        )

    async def record_retry(self) -> None:
        """Commit who requested the retry of a failing step, and answer the request."""
        if pending := self._messages.retry:
            await self.record_request(pending, EventType.RETRY_REQUESTED)
            self._messages.retry = None

    async def run(self, step: Awaitable[Result]) -> Result:
        """Return the step's outcome, even when the workflow is cancelled meanwhile."""
        return await run_to_completion(step, on_cancel=self._on_cancel)

    def _on_cancel(self) -> None:
        self._gate.call(self._messages.on_workflow_cancelled)

    async def hold_back(self, outcome: Awaitable[Result]) -> Result:
        """Return the outcome of what runs beside the steps, once no local step runs."""
        return await self._gate.hold_back(outcome)

    async def run_until_it_succeeds(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Return the step's outcome, although an operator may fail its activity for good.

        The order cannot continue without the outcome, so the step is requested again.

        Raises:
            ApplicationError: `ORDER_ID_TAKEN` or `ORDER_REJECTED`, final.

        """
        interval = _REPEAT_FAILED_STEP_AFTER
        while True:
            try:
                return await self.run(step())
            except (ActivityError, ApplicationError) as error:
                if isinstance(error, ApplicationError) and error.type in _FINAL_ERRORS:
                    raise
                workflow.logger.warning("step failed; it is requested again", exc_info=error)
            await self.run(workflow.sleep(interval, summary="request the failed step again"))
            interval = min(interval * 2, _MAX_REPEAT_INTERVAL)

    async def wait(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; a cancellation of the workflow becomes a pending request.

        The order awaits everything through this class: a cancellation that is raised anywhere else
        ends the workflow, and leaves the order as it is.
        """
        while not condition():
            try:
                await workflow.wait_condition(lambda: bool(condition()))
            except asyncio.CancelledError:
                self._messages.on_workflow_cancelled()

    async def wait_until(
        self,
        condition: Callable[[], object],
        awaited: WaitingFor,
        deadline: datetime,
        *,
        remind_at: datetime | None = None,
    ) -> bool:
        """Wait for a condition, or for a cancellation of the workflow.

        Returns False where neither comes by `remind_at`, or by the deadline without one.
        """
        name = awaited.replace("_", " ")
        self._state.set_waiting_for(
            awaited, f"waiting for {name} until {deadline:%Y-%m-%d %H:%M} UTC", deadline=deadline
        )
        try:
            await workflow.wait_condition(
                lambda: bool(condition()),
                timeout=max((remind_at or deadline) - workflow.now(), timedelta(0)),
                timeout_summary=f"{name} {'reminder' if remind_at else 'deadline'}",
            )
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._messages.on_workflow_cancelled()
        finally:
            self._state.clear_waiting_for()
        return True

    async def retry_until_done(
        self,
        step: Callable[[timedelta | None], Awaitable[Result]],
        *,
        name: str,
        cancel_if: Callable[[], object] = _never,
        has_pending: Callable[[], object] = _never,
        handle_pending: Callable[[], Awaitable[object]] = _nothing,
    ) -> Result | None:
        """Retry a step of another service until it succeeds; None where `cancel_if` came first.

        The first attempts have a time limit; after it the step needs attention, and is retried
        without one. A step that failed for good waits for a requested retry. Pending requests are
        handled meanwhile. The outcome of a cancelled step stays unknown.

        Raises:
            ConflictingCommitError: from handling a request, or from flagging for attention.

        """
        time_limit: timedelta | None = self._order.step_failure_alert_after
        while True:
            attempt = asyncio.ensure_future(self.hold_back(step(time_limit)))
            try:
                await self._wait_and_handle(
                    lambda: attempt.done() or cancel_if() or self._messages.retry,  # noqa: B023 - awaited here
                    has_pending,
                    handle_pending,
                )
            except ConflictingCommitError:
                await self._give_up(attempt)
                raise
            # Check completion first: a replay may order concurrent requests differently.
            if not attempt.done():
                is_cancelled = cancel_if()
                await self._give_up(attempt)
                if is_cancelled:
                    return None
                await self.record_retry()
                time_limit = self._order.step_failure_alert_after
                continue
            try:
                return attempt.result()
            except ActivityError as error:
                await self.flag_for_attention(
                    StepFailure(step=name, last_error=last_attempt_error(error))
                )
                if not is_schedule_to_close_timeout(error):
                    # It failed for good: only an operator who has repaired the cause can go on.
                    await self._wait_and_handle(
                        lambda: cancel_if() or self._messages.retry, has_pending, handle_pending
                    )
                    if cancel_if():
                        return None
                    await self.record_retry()
                time_limit = None

    async def _wait_and_handle(
        self,
        condition: Callable[[], object],
        has_pending: Callable[[], object],
        handle_pending: Callable[[], Awaitable[object]],
    ) -> None:
        while True:
            await self.wait(lambda: condition() or has_pending())
            if condition():
                return
            await handle_pending()

    async def _give_up(self, attempt: asyncio.Future[Result]) -> None:
        attempt.cancel()
        await self.wait(attempt.done)
        with suppress(ActivityError, asyncio.CancelledError):
            attempt.result()

    async def _execute(
        self,
        activity: Callable[[OrderActivities, Argument], Awaitable[Result]],
        argument: Argument,
        summary: str,
        *,
        local_first: bool = True,
    ) -> Result:
        return await self.run_until_it_succeeds(
            lambda: (
                execute_local_then_remote(
                    activity,
                    argument,
                    gate=self._gate,
                    summary=summary,
                    on_error=self._state.set_database_error,
                )
                if local_first
                else execute_remote(activity, argument, summary=summary)
            )
        )
