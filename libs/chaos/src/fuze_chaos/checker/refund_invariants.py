"""Invariants of requested refunds: accepted ones are executed once, and the order says so."""

from collections import Counter

from fuze_chaos.reference_model import get_details
from fuze_chaos.snapshots.records import Findings, OrderRecords

_COMPENSATED = frozenset({"cancelled", "returned"})
_OUTCOME_EVENTS = {"refunded": "payment_refunded", "rejected": "refund_failed"}
_REFUND_EVENTS = frozenset({"refund_requested", *_OUTCOME_EVENTS.values()})
_SYSTEM_ACTOR = "payment-service"


def refunds_match_order(order: OrderRecords) -> Findings:
    """Compare accepted requests, refunds, events and the payment status with each other."""
    yield from _check_requests(order)
    yield from _check_events(order)
    yield from _check_payment_status(order)


def _check_requests(order: OrderRecords) -> Findings:
    amounts = {str(one["refund_id"]): one["amount_minor"] for one in order.refunds}
    for request in order.requests:
        if request.operation != "refund" or not request.is_accepted:
            continue
        refund_id, amount = request.body["refund_id"], request.body["amount_minor"]
        if amounts.get(refund_id) != amount:
            yield (
                "an accepted refund is missing, or has another amount",
                {"refund": refund_id, "accepted": amount, "recorded": amounts.get(refund_id)},
            )


def _check_events(order: OrderRecords) -> Findings:
    events = Counter(
        (event["type"], details.get("refund_id"), details.get("amount_minor"))
        for event in order.events
        if event["type"] in _REFUND_EVENTS
        for details in [get_details(event)]
    )
    for refund in order.refunds:
        if refund["actor"] == _SYSTEM_ACTOR:
            continue  # of a compensation, whose events are its order's own
        outcome = _OUTCOME_EVENTS.get(refund["state"])
        for kind in ("refund_requested", outcome):
            key = (kind, str(refund["refund_id"]), refund["amount_minor"])
            if kind and events[key] != 1:
                yield f"{events[key]} events {kind} of one refund", {"refund": key[1]}


def _check_payment_status(order: OrderRecords) -> Findings:
    if order.row is None or order.status in _COMPENSATED:
        return
    refunded = sum(one["amount_minor"] for one in order.provider_refunds)
    total, status = order.row["total_minor"], order.row["payment_status"]
    expected = "refunded" if refunded >= total else "partially_refunded"
    if refunded and status != expected:
        yield (
            f"{refunded} of {total} are refunded, but the payment status is {status}",
            {"payment status": status, "refunded": refunded},
        )
    if not refunded and status in {"refunded", "partially_refunded"}:
        yield f"nothing is refunded, but the payment status is {status}", {}
