"""Where an order stands: the state inside its workflow, which only commits move."""

from datetime import datetime
from typing import TypedDict

from pydantic import JsonValue
from temporalio import workflow

from fuze_contracts.address import Address
from fuze_contracts.order import OrderResult, OrderSnapshot, PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.payment import default_payment_token
from fuze_contracts.search_attributes import NEEDS_ATTENTION, ORDER_STATUS, WAITING_FOR
from fuze_order.messages import Transition
from fuze_order.transitions import needs_attention_after, payment_status_after, status_after

ORDER_SERVICE_ACTOR = "order-service"


class ColumnChanges(TypedDict, total=False):
    """What an event changes in the order's row, or stores in its details, beside the status."""

    address: Address
    tracking_number: str
    payment_method: str
    payment_token: str
    tracking_deadline: datetime | None
    details: dict[str, JsonValue]


class OrderState:
    """The committed state of an order, and what its workflow waits for right now.

    After a reset the workflow starts from the values of `PlaceOrder`; its first commits return the
    row that is in PostgreSQL, and `apply` continues from there.
    """

    def __init__(self, order: PlaceOrder) -> None:
        self._order = order
        self.status = OrderStatus.RECEIVED
        self.payment_status = PaymentStatus.NONE
        self.seq = 0
        # From the history, not the clock: neither a reset nor a recovery extends a deadline.
        recovery = order.recovery
        self.received_at = recovery.received_at if recovery else workflow.info().workflow_start_time
        self.status_since = self.received_at
        self.reason: str | None = None
        self.address = order.address
        self.rejected_address: Address | None = None
        self.four_eyes, self.owner = order.four_eyes, order.owner
        self.payment_method = order.payment_method
        self.payment_token = order.payment_token
        self.tracking_deadline: datetime | None = None
        self.needs_attention = False
        self.is_reminder_sent = self.is_recovered = False
        self._tracking_number: str | None = None
        self._shipment_number = 0
        self._waiting_for: WaitingFor | None = None
        self._deadline: datetime | None = None
        self._last_error: str | None = None
        self._published: tuple[OrderStatus, WaitingFor | None, bool] | None = None

    def transition(  # noqa: PLR0913 - what an event consists of
        self,
        event: EventType,
        actor: str = ORDER_SERVICE_ACTOR,
        reason: str | None = None,
        changes: ColumnChanges | None = None,
        *,
        seq: int | None = None,
        after: Transition | None = None,
    ) -> Transition:
        """Return the next transition, for the repository to commit.

        It follows the committed state, or the transition `after`, which is not committed yet.
        """
        last = after or self
        status = status_after(event, last.status)
        return Transition(
            order_id=self._order.order_id,
            seq=seq or last.seq + 1,
            type=event,
            status=status,
            payment_status=payment_status_after(event, last.payment_status),
            actor=actor,
            occurred_at=workflow.now(),
            reason=reason or (last.reason if status is last.status else None),
            needs_attention=needs_attention_after(event, needs_attention=last.needs_attention),
            **(changes or {}),
        )

    def apply(self, committed: Transition) -> None:
        """Continue from what is committed, whichever run of the workflow committed it."""
        if committed.status is not self.status:
            self.status_since = committed.occurred_at
        self.seq = committed.seq
        self.status, self.payment_status = committed.status, committed.payment_status
        self.reason, self.needs_attention = committed.reason, committed.needs_attention
        self.address = committed.address or self.address
        self.payment_method = committed.payment_method or self.payment_method
        self.payment_token = committed.payment_token or self.payment_token
        self.tracking_deadline = committed.tracking_deadline or self.tracking_deadline
        self._tracking_number = committed.tracking_number or self._tracking_number
        self._publish_search_attributes()
        match committed.type:
            case EventType.CARRIER_REJECTED_ADDRESS if rejected := committed.details.get("address"):
                self.rejected_address = Address.model_validate(rejected)
            case EventType.ADDRESS_CHANGED:
                self.rejected_address = None  # another attempt, even with the same address
            case EventType.APPROVAL_REMINDER_SENT:
                self.is_reminder_sent = True
            case EventType.ORDER_RECOVERED:
                self.is_recovered = True
            case EventType.SHIPPING_STARTED:
                self._shipment_number = committed.seq
            case _:
                pass

    @property
    def shipment_number(self) -> int:
        """The number of the current request for a shipment: that of its `shipping_started`.

        After a reset that may be unknown; then it is a higher one.
        """
        return self._shipment_number or self.seq

    def next_payment_token(self) -> str:
        """Return a token that no attempt to charge has used: one above the committed token's."""
        prefix, _, attempt = self.payment_token.rpartition(":")
        is_numbered = prefix == str(self._order.order_id) and attempt.isdecimal()
        return default_payment_token(self._order.order_id, int(attempt) + 1 if is_numbered else 2)

    def set_waiting_for(
        self, awaited: WaitingFor, details: str, *, deadline: datetime | None = None
    ) -> None:
        """Publish what the order waits for; an operator reads `details` in Temporal's UI."""
        self._waiting_for, self._deadline = awaited, deadline
        workflow.set_current_details(details)
        self._publish_search_attributes()

    def _publish_search_attributes(self) -> None:
        """Let an operator find the order in Temporal: where it waits, needs attention or ends.

        Each publication is an event of the history. What takes no time is not published.
        """
        current = (self.status, self._waiting_for, self.needs_attention)
        is_lasting = self._waiting_for or self.needs_attention or self.status.is_terminal
        if not self._order.search_attributes or not is_lasting or current == self._published:
            return
        self._published = current
        awaited = self._waiting_for
        workflow.upsert_search_attributes(
            [
                ORDER_STATUS.value_set(self.status),
                WAITING_FOR.value_set(awaited) if awaited else WAITING_FOR.value_unset(),
                NEEDS_ATTENTION.value_set(self.needs_attention),
            ]
        )

    def clear_waiting_for(self) -> None:
        """Publish that the wait is over."""
        self._waiting_for = self._deadline = None

    def set_database_error(self, error: str | None) -> None:
        """Publish that the order waits for the database, or, with None, no longer does."""
        self._waiting_for = WaitingFor.DATABASE if error else None
        self._last_error = error

    def snapshot(self) -> OrderSnapshot:
        """Return the order as a query answers it."""
        return OrderSnapshot(
            order_id=self._order.order_id,
            status=self.status,
            payment_status=self.payment_status,
            last_seq=self.seq,
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
