"""How the payment service reports the refunds of an order to the order service."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from temporalio import activity

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.order_states import EventType
from fuze_contracts.refund_allocation import RefundedLine

RefundEventType = Literal[
    EventType.REFUND_REQUESTED,
    EventType.NEEDS_ATTENTION,
    EventType.PAYMENT_REFUNDED,
    EventType.REFUND_FAILED,
]


class RefundReport(Message):
    """What happened to a refund; an order has one event of each type for each refund.

    `code` is the provider's reason of a failure. A refund that keeps failing needs attention, with
    the `last_error`, and may succeed later. The time is UTC.
    """

    order_id: UUID
    refund_id: UUID
    type: RefundEventType
    amount: Money
    actor: str
    occurred_at: datetime
    lines: tuple[RefundedLine, ...] = ()
    reason: str | None = None
    provider_reference: str | None = None
    code: str | None = None
    last_error: str | None = None


class RefundReportActivities(Protocol):
    """The activities on the order task queue that the payment service calls."""

    @activity.defn
    async def refund_recorded(self, report: RefundReport) -> None:
        """Record the event in the order, whether its workflow runs or has ended."""
        ...
