"""The contract of returns: what a customer sends back, and what is refunded for it."""

from abc import ABC, abstractmethod
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from temporalio import workflow

from fuze_contracts.base import Message
from fuze_contracts.refund_allocation import RefundLine

RETURN_NOT_FOUND = "ReturnNotFound"
"""An update is rejected: the return was refused when it was requested."""

RETURN_STATUS_CONFLICT = "ReturnStatusConflict"
"""An update is rejected: its action is not possible in the return's status: the message."""

ORDER_NOT_RETURNABLE = "OrderNotReturnable"
"""An update is rejected: the carrier has returned the order's parcel."""


class ReturnStatus(StrEnum):
    """The status of a return."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    RECEIVED = "received"
    """The goods are back: the refund is requested, and retried until its outcome is known."""
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    """The goods are back, and the refund was rejected for good: an operator decides."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows this status."""
        return self not in _STATUSES_BEFORE_ANOTHER

    def may_follow(self, status: "ReturnStatus") -> bool:
        """Whether a return can change from that status to this one."""
        return status in _STATUSES_BEFORE.get(self, ())


_STATUSES_BEFORE = {
    ReturnStatus.APPROVED: {ReturnStatus.REQUESTED},
    ReturnStatus.REJECTED: {ReturnStatus.REQUESTED},
    ReturnStatus.CANCELLED: {ReturnStatus.REQUESTED, ReturnStatus.APPROVED},
    ReturnStatus.RECEIVED: {ReturnStatus.APPROVED},
    ReturnStatus.REFUNDED: {ReturnStatus.RECEIVED},
    ReturnStatus.REFUND_FAILED: {ReturnStatus.RECEIVED},
}
_STATUSES_BEFORE_ANOTHER = frozenset().union(*_STATUSES_BEFORE.values())


class ReturnAction(StrEnum):
    """What a caller does with a return."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    RECEIVE = "receive"

    @property
    def status(self) -> ReturnStatus:
        """The status that the action leads to."""
        return _STATUS_AFTER[self]


_STATUS_AFTER = {
    ReturnAction.APPROVE: ReturnStatus.APPROVED,
    ReturnAction.REJECT: ReturnStatus.REJECTED,
    ReturnAction.CANCEL: ReturnStatus.CANCELLED,
    ReturnAction.RECEIVE: ReturnStatus.RECEIVED,
}


class RequestReturn(Message):
    """Return quantities of an order's shipped lines, once for `return_id`.

    The id is also that of the refund, so that the payment service executes one refund, however
    often the workflow is run again. With `include_shipping` the refund has the shipping costs, too.
    `fingerprint` is a digest of the caller's request. A refund that keeps failing needs attention
    after `step_failure_alert_after`.
    """

    order_id: UUID
    return_id: UUID
    lines: tuple[RefundLine, ...]
    include_shipping: bool = False
    reason: str | None = None
    actor: str = "unknown"
    fingerprint: str | None = None
    step_failure_alert_after: timedelta = timedelta(hours=1)


class ChangeReturn(Message):
    """Approve, reject, cancel or receive a return."""

    action: ReturnAction
    actor: str = "unknown"
    reason: str | None = None


class ReturnSnapshot(Message):
    """A return as it is committed.

    A different `fingerprint` than the request's shows that the id was used for another request.
    """

    outcome: Literal["return"] = "return"
    order_id: UUID
    return_id: UUID
    status: ReturnStatus
    fingerprint: str | None = None


class ReturnRefusal(StrEnum):
    """Why a return was refused when it was requested."""

    ORDER_NOT_RETURNABLE = "order_not_returnable"
    """The order has no parcel that could come back, or nothing is left to refund."""
    MORE_THAN_SHIPPED = "more_than_shipped"
    """More units of a line than were shipped, and are not returned or refunded.

    Or the shipping costs a second time.
    """


class ReturnRefused(Message):
    """Nothing was stored. `returnable` is how many units of the line `line_id` are left.

    `line_id` is None for shipping.
    """

    outcome: Literal["refused"] = "refused"
    return_id: UUID
    code: ReturnRefusal
    line_id: str | None = None
    returnable: int = 0


RequestReturnOutcome = Annotated[ReturnSnapshot | ReturnRefused, Field(discriminator="outcome")]


@workflow.defn
class ReturnWorkflow(ABC):
    """Await the decision about a return and the receipt of its goods; then refund them.

    It can be run again at any time: it continues from what is committed for the return's id.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: RequestReturn) -> RequestReturnOutcome:
        """Return the return in its last status, or why it was refused."""

    @workflow.update
    @abstractmethod
    async def get_request_outcome(self) -> RequestReturnOutcome:
        """Return the return, as soon as it is committed, or why it was refused."""

    @workflow.update
    @abstractmethod
    async def change(self, command: ChangeReturn) -> ReturnSnapshot:
        """Change the return's status.

        Errors: `RETURN_STATUS_CONFLICT`, `ORDER_NOT_RETURNABLE`, `RETURN_NOT_FOUND`.
        """
