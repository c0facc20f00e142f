"""The life of an order once more, as the checker knows it.

It says again, on purpose, what the order service says in a table of its own: a checker that took
its rules from what it checks would agree with any mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_ON_ITS_WAY = frozenset(
    {"awaiting_approval", "approved", "awaiting_payment_method", "paid", "preparing"}
    | {"awaiting_address"}
)
_IN_WORK = frozenset({"approved", "paid", "preparing", "cancelling", "returned"})
_UNDOING = frozenset({"cancelling", "returned"})
_CHANGED_NOTHING = frozenset({"address_changed", "address_change_rejected"})


@dataclass(frozen=True)
class Edge:
    """From where an event may lead, and where: None is where the order was before."""

    origins: frozenset[str]
    to: str | None = None
    payment: str | None = None


def _edge(*origins: str, to: str | None = None, payment: str | None = None) -> Edge:
    return Edge(frozenset(origins), to, payment)


EDGES = {
    "order_received": _edge("", to="received", payment="none"),
    "order_validated": _edge("received", to="awaiting_approval"),
    "order_rejected": _edge("received", "awaiting_approval", to="rejected"),
    "address_changed": Edge(_ON_ITS_WAY),
    "address_change_rejected": Edge(_ON_ITS_WAY),
    "approval_reminder_sent": _edge("awaiting_approval"),
    "order_approved": _edge("awaiting_approval", to="approved", payment="pending"),
    "order_expired": _edge("awaiting_approval", to="expired"),
    "payment_charged": _edge("approved", to="paid", payment="charged"),
    "payment_declined": _edge("approved", to="awaiting_payment_method", payment="declined"),
    "payment_method_changed": _edge("awaiting_payment_method", to="approved", payment="pending"),
    "payment_abandoned": _edge("awaiting_payment_method", to="payment_declined"),
    "shipping_started": _edge("paid", "awaiting_address", to="preparing"),
    "carrier_rejected_address": _edge("preparing", to="awaiting_address"),
    "order_shipped": _edge("preparing", to="shipped"),
    "order_delivered": _edge("shipped", to="delivered"),
    "order_returned": _edge("shipped", to="returned", payment="refunding"),
    "cancellation_started": _edge(
        *("approved", "paid", "preparing", "awaiting_address"), to="cancelling", payment="refunding"
    ),
    "payment_refunded": Edge(_UNDOING, payment="refunded"),
    "payment_voided": Edge(_UNDOING, payment="none"),
    "order_cancelled": _edge(
        *("awaiting_approval", "approved", "awaiting_payment_method", "cancelling"), to="cancelled"
    ),
    "needs_attention": Edge(_IN_WORK),
    "retry_requested": Edge(_IN_WORK),
}
ENDS = frozenset(
    {"shipped", "delivered", "returned", "rejected", "expired", "payment_declined", "cancelled"}
)


@dataclass
class Folded:
    """Where the events lead, one after another; `broken` says which of them cannot be."""

    status: str = ""
    payment: str = ""
    seq: int = 0
    needs_attention: bool = False
    tracking_number: str | None = None
    broken: str | None = None


def fold(events: Sequence[dict[str, Any]]) -> Folded:
    """Follow the events from nothing to where they lead."""
    folded = Folded()
    for event in events:
        kind = event["type"]
        if event["seq"] != folded.seq + 1:
            folded.broken = f"event {event['seq']} comes after event {folded.seq}"
            return folded
        edge = EDGES.get(kind)
        if edge is None or folded.status not in edge.origins:
            folded.broken = f"{kind} at {folded.status or 'nothing'}, event {event['seq']}"
            return folded
        folded.seq = event["seq"]
        folded.status = edge.to or folded.status
        folded.payment = _payment_after(kind, edge, folded.payment)
        if kind not in _CHANGED_NOTHING:
            folded.needs_attention = kind == "needs_attention"
        if (event["status"], event["payment_status"]) != (folded.status, folded.payment):
            folded.broken = (
                f"event {event['seq']}, {kind}, says {event['status']}, {event['payment_status']},"
                f" and leads to {folded.status}, {folded.payment}"
            )
            return folded
    return folded


def _payment_after(kind: str, edge: Edge, payment: str) -> str:
    if kind == "order_cancelled" and payment == "pending":
        return "none"  # nobody had been asked for it
    return edge.payment or payment
