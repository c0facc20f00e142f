"""The reference model of an order: its legal transitions, independent of the order service.

It repeats the order service's own table on purpose: a checker that took its rules from the code
under test would agree with any mistake in them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fuze_chaos.snapshots.records import OperatorAction

_OPEN = frozenset(
    {
        "awaiting_approval",
        "approved",
        "awaiting_payment_method",
        "paid",
        "preparing",
        "awaiting_address",
    }
)
_WITH_RETRIED_STEP = frozenset({"approved", "paid", "preparing", "cancelling", "returned"})
_COMPENSATING = frozenset({"cancelling", "returned"})
_UNDECIDED = frozenset({"received", "awaiting_approval"})
_ENDING_ACTIONS = frozenset({"terminate", "delete"})
_FAILED_REFUND = frozenset({"refund_failed", "return_refund_failed"})
_KEEPS_ATTENTION = frozenset(
    {
        *("address_changed", "address_change_rejected", "refund_requested", "order_delivered"),
        *("return_requested", "return_approved", "return_rejected", "return_cancelled"),
        *("return_received", "return_refunded"),
    }
)
_RETURNABLE = frozenset({"shipped", "delivered"})
_REFUNDABLE = frozenset({"shipped", "delivered", "returned", "completed"})


@dataclass(frozen=True)
class Transition:
    """The statuses before an event, and the ones after it; None leaves a status unchanged."""

    sources: frozenset[str]
    status: str | None = None
    payment_status: str | None = None


def _transition(*sources: str, to: str | None = None, payment: str | None = None) -> Transition:
    return Transition(frozenset(sources), to, payment)


TRANSITIONS = {
    "order_received": _transition("", to="received", payment="none"),
    "order_validated": _transition("received", to="awaiting_approval"),
    "order_rejected": _transition("received", "awaiting_approval", to="rejected"),
    "address_changed": Transition(_OPEN),
    "address_change_rejected": Transition(_OPEN),
    "approval_reminder_sent": _transition("awaiting_approval"),
    "order_approved": _transition("awaiting_approval", to="approved", payment="pending"),
    "order_expired": _transition("awaiting_approval", to="expired"),
    "payment_charged": _transition("approved", to="paid", payment="charged"),
    "payment_declined": _transition("approved", to="awaiting_payment_method", payment="declined"),
    "payment_method_changed": _transition(
        "awaiting_payment_method", to="approved", payment="pending"
    ),
    "payment_abandoned": _transition("awaiting_payment_method", to="payment_declined"),
    "shipping_started": _transition("paid", "awaiting_address", to="preparing"),
    "carrier_rejected_address": _transition("preparing", to="awaiting_address"),
    "order_shipped": _transition("preparing", to="shipped"),
    "order_delivered": _transition("shipped", to="delivered"),
    "order_returned": _transition("shipped", to="returned", payment="refunding"),
    "order_completed": _transition("paid", to="completed"),
    "cancellation_started": _transition(
        *("approved", "paid", "preparing", "awaiting_address"), to="cancelling", payment="refunding"
    ),
    "refund_requested": Transition(_REFUNDABLE),
    "payment_refunded": Transition(_COMPENSATING, payment_status="refunded"),
    "refund_failed": Transition(_REFUNDABLE),
    "payment_voided": Transition(_COMPENSATING, payment_status="none"),
    "return_requested": Transition(_RETURNABLE),
    "return_approved": Transition(_RETURNABLE),
    "return_rejected": Transition(_RETURNABLE | {"returned"}),
    "return_cancelled": Transition(_RETURNABLE | {"returned"}),
    "return_received": Transition(_RETURNABLE),
    "return_refunded": Transition(_RETURNABLE | {"returned"}),
    "return_refund_failed": Transition(_RETURNABLE | {"returned"}),
    "order_cancelled": _transition(
        *("awaiting_approval", "approved", "awaiting_payment_method", "cancelling"), to="cancelled"
    ),
    "needs_attention": Transition(_WITH_RETRIED_STEP | _REFUNDABLE),
    "retry_requested": Transition(_WITH_RETRIED_STEP),
    "order_recovered": Transition(_OPEN | {"cancelling"}),
}
TERMINAL_STATUSES = frozenset(
    {
        *("shipped", "delivered", "returned", "completed"),
        *("rejected", "expired", "payment_declined", "cancelled"),
    }
)


@dataclass
class ReplayedOrder:
    """The state that an order's events lead to; `error` describes the first illegal event."""

    status: str = ""
    payment_status: str = ""
    seq: int = 0
    reasons: set[str] = field(default_factory=set)
    error: str | None = None
    total_minor: int = 0
    refunded_minor: int = 0
    requested_refunds: set[str] = field(default_factory=set)
    refunds_since_failure: set[str] = field(default_factory=set)

    @property
    def needs_attention(self) -> bool:
        """Whether a step or a refund fails, or has failed and nothing has made up for it."""
        return bool(self.reasons)


def replay(events: Sequence[dict[str, Any]]) -> ReplayedOrder:
    """Apply an order's events in sequence, up to the first illegal one."""
    order = ReplayedOrder()
    for event in events:
        kind = event["type"]
        if event["seq"] != order.seq + 1:
            order.error = f"event {event['seq']} follows event {order.seq}"
            return order
        transition = _find_transition(order, kind, get_details(event))
        if transition is None or order.status not in transition.sources:
            order.error = f"event {event['seq']}, {kind}, is illegal in '{order.status}'"
            return order
        order.seq = event["seq"]
        order.status = transition.status or order.status
        order.payment_status = _payment_status_after(kind, transition, order.payment_status)
        _apply_attention(order, kind, get_details(event))
        if (event["status"], event["payment_status"]) != (order.status, order.payment_status):
            order.error = (
                f"event {event['seq']}, {kind}, records {event['status']}, "
                f"{event['payment_status']}, but leads to {order.status}, {order.payment_status}"
            )
            return order
    return order


def get_details(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event's details, which PostgreSQL's driver leaves as JSON."""
    details = event.get("details") or {}
    parsed: dict[str, Any] = json.loads(details) if isinstance(details, str) else details
    return parsed


def _find_transition(order: ReplayedOrder, kind: str, details: dict[str, Any]) -> Transition | None:
    """Return the legal transition, which for a refund depends on the refunds before it."""
    match kind:
        case "order_received":
            order.total_minor = details.get("total_minor", 0)
        case "refund_requested":
            order.requested_refunds.add(details["refund_id"])
        case "payment_refunded" if details.get("refund_id") in order.requested_refunds:
            order.refunded_minor += details["amount_minor"]
            if order.payment_status in {"refunding", "refunded"}:
                return Transition(_REFUNDABLE)
            is_full = order.refunded_minor >= order.total_minor
            return Transition(
                _REFUNDABLE, payment_status="refunded" if is_full else "partially_refunded"
            )
    return TRANSITIONS.get(kind)


def _apply_attention(order: ReplayedOrder, kind: str, details: dict[str, Any]) -> None:
    """Add or remove a reason to look at the order.

    A refund that failed is made up for by one that was requested after it, or once everything is
    refunded. A step of the order that failed is repaired by the order's next step.
    """
    refund_id = str(details.get("refund_id"))
    if kind == "needs_attention":
        order.reasons.add(refund_id if "refund_id" in details else "a step")
    elif kind in _FAILED_REFUND:
        order.reasons.discard(refund_id)
        order.reasons.add("a refund")
        order.refunds_since_failure.clear()
    elif kind == "payment_refunded" and refund_id in order.requested_refunds:
        order.reasons.discard(refund_id)
        if refund_id in order.refunds_since_failure:
            order.reasons.discard("a refund")
        if order.payment_status == "refunded":
            order.reasons.clear()
    elif kind == "refund_requested":
        order.refunds_since_failure.add(refund_id)
    elif kind not in _KEEPS_ATTENTION:
        order.reasons.clear()


def _payment_status_after(kind: str, transition: Transition, payment_status: str) -> str:
    if kind == "order_cancelled" and payment_status == "pending":
        return "none"  # cancelled before any charge was attempted
    return transition.payment_status or payment_status


def may_lack_result(actions: Sequence[OperatorAction]) -> bool:
    """Whether a finished order's workflow may be missing, or have no result.

    An operator who terminates or deletes a workflow can hit it after its last commit.
    """
    return any(one.workflow == "order" and one.kind in _ENDING_ACTIONS for one in actions)


def may_accept_key_reuse(actions: Sequence[OperatorAction]) -> bool:
    """Whether a different request under the order's key may be accepted.

    Of an order whose workflow is deleted only the row is left: while PostgreSQL is unavailable, the
    gateway cannot tell the key from a new one. The row then makes the second workflow fail.
    """
    return any(one.workflow == "order" and one.kind == "delete" for one in actions)


def binding_cancellation(actions: Sequence[OperatorAction]) -> OperatorAction | None:
    """Return an operator's cancellation after which the order cannot be dispatched any more.

    Temporal had accepted it, and the order was still undecided after that: from there the order
    sees the cancellation before it is charged. A later reset that excludes messages withdraws a
    cancellation that is not committed, and so does a later termination.
    """
    of_order = [one for one in actions if one.workflow == "order"]
    for index, action in enumerate(of_order):
        is_binding = action.kind == "cancel" and action.is_accepted and action.status in _UNDECIDED
        if is_binding and not any(map(_withdraws_messages, of_order[index + 1 :])):
            return action
    return None


def _withdraws_messages(action: OperatorAction) -> bool:
    return action.excludes_messages or action.kind in _ENDING_ACTIONS
