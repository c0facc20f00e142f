"""Invariants of money: charges, refunds, the ledger, and what must be captured when."""

from collections import Counter
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from fuze_chaos.snapshots.records import Findings, OrderRecords

_FULLY_REFUNDED = frozenset({"cancelled", "rejected", "expired", "payment_declined", "returned"})


def single_charge(order: OrderRecords) -> Findings:
    """Find charges beyond the one that an order may have, and paid orders without one."""
    per_payment = Counter(one["payment_id"] for one in order.provider_charges)
    for payment_id, times in per_payment.items():
        if times > 1:
            yield f"{times} charges for one payment", {"payment_id": payment_id}
    refunded: Counter[str] = Counter()
    for one in order.provider_refunds:
        refunded[one["charge_id"]] += one["amount_minor"]
    live = [
        one["id"]
        for one in order.provider_charges
        if one["status"] == "charged" and refunded[one["id"]] < one["amount_minor"]
    ]
    # A charge under review counts: the provider may still capture it.
    pending = _charges_under_review(order)
    if len(live) + len(pending) > 1:
        yield f"{len(live) + len(pending)} live charges", {"charges": [*live, *pending]}
    is_paid = order.row and order.row["payment_status"] in {"charged", "partially_refunded"}
    has_total = order.row and order.row["total_minor"] > 0
    if is_paid and has_total and not live:
        yield "the order is paid, but the provider has no live charge", {}


def ledger_matches_provider(order: OrderRecords) -> Findings:
    """Compare the ledger with the provider and with what the order costs, per payment."""
    yield from _check_total(order)
    charges = {one["payment_id"]: one for one in order.provider_charges}
    known = {str(one["payment_id"]) for one in order.payments}
    for payment_id, charge in charges.items():
        if payment_id not in known:
            yield "the provider has a charge without a payment", {"charge": charge["id"]}
    for payment in order.payments:
        yield from _check_payment(payment, order, charges.get(str(payment["payment_id"])))
    debits = sum(one["debit_minor"] for one in order.ledger)
    credits_ = sum(one["credit_minor"] for one in order.ledger)
    if debits != credits_:
        yield "debits differ from credits", {"debits": debits, "credits": credits_}


def _check_total(order: OrderRecords) -> Findings:
    """Compare the order's total with its lines and adjustments, and with what is charged."""
    if order.row is None:
        return
    total = order.row["total_minor"]
    lines, adjustments = order.parts("lines"), order.parts("adjustments")
    expected = sum(_line_total(one) for one in lines) + sum(
        -one["amount_minor"] if one["kind"] == "discount" else one["amount_minor"]
        for one in adjustments
    )
    if lines and total != expected:
        yield "the total is not the sum of lines and adjustments", {"total": total, "sum": expected}
    for payment in order.payments:
        if payment["amount_minor"] != total:
            yield (
                "a payment is not of the order's total",
                {"payment": payment["amount_minor"], "total": total},
            )


def _line_total(line: dict[str, Any]) -> int:
    amount: int = line["quantity"] * line["unit_price_minor"]
    return amount - int(line["discount_minor"]) + int(line["tax_minor"])


def _check_payment(
    payment: dict[str, Any], order: OrderRecords, charge: dict[str, Any] | None
) -> Findings:
    payment_id, amount = str(payment["payment_id"]), payment["amount_minor"]
    entries = [
        one
        for one in order.ledger
        if str(one["payment_id"]) == payment_id and one["account"] == "provider"
    ]
    captured = sum(one["debit_minor"] for one in entries)
    refunded = sum(one["credit_minor"] for one in entries)
    provider_captured = charge["amount_minor"] if charge and charge["status"] == "charged" else 0
    provider_refunded = sum(
        one["amount_minor"]
        for one in order.provider_refunds
        if charge is not None and one["charge_id"] == charge["id"]
    )
    evidence: dict[str, JsonValue] = {
        "payment_id": payment_id,
        "state": payment["state"],
        "amount": amount,
        "ledger captured": captured,
        "ledger refunded": refunded,
        "payment refunded": payment["refunded_minor"],
        "provider captured": provider_captured,
        "provider refunded": provider_refunded,
    }
    if captured != provider_captured:
        yield "the captured amount differs between ledger and provider", evidence
    if refunded != provider_refunded:
        yield "the refunded amount differs between ledger and provider", evidence
    if payment["refunded_minor"] != refunded:
        yield "the refunded amount differs between payment and ledger", evidence
    if refunded > captured:
        yield "more was refunded than captured", evidence
    if amount and (payment["state"] == "charged") != (captured == amount):
        yield "the payment's state does not match the ledger", evidence


def captured_before_dispatch(order: OrderRecords) -> Findings:
    """Find parcels whose order's total was not captured by then."""
    if not order.parcels:
        return
    if order.row is None:
        yield "the carrier has a parcel for an order that PostgreSQL does not have", {}
        return
    total = order.row["total_minor"]
    if total == 0:
        return
    dispatched_at = min(datetime.fromisoformat(one["created_at"]) for one in order.parcels)
    captured = sum(
        one["debit_minor"] - one["credit_minor"]
        for one in order.ledger
        if one["account"] == "provider" and one["recorded_at"] <= dispatched_at
    )
    if captured != total:
        yield (
            "dispatched while the net captured amount was not the order's total",
            {"dispatched at": str(dispatched_at), "captured by then": captured, "total": total},
        )


def full_compensation(order: OrderRecords) -> Findings:
    """Find money that the provider keeps from an order that ended without a sale."""
    if order.status != "returned" and (parcels := _parcels_returned_in_time(order)):
        yield (
            f"the carrier has returned the parcel, the order is {order.status}",
            {"parcels": [*parcels]},
        )
    # Reconciliation refunds it, but an order must not rely on that.
    if any(one["kind"] == "money_kept" for one in order.discrepancies):
        yield f"{order.status}, and reconciliation found money that was kept", {}
    if order.status not in _FULLY_REFUNDED:
        return
    if kept := order.net_captured():
        yield f"{order.status}, but the provider keeps {kept}", {"net captured": kept}
    # The provider may still capture it, when the review ends.
    if pending := _charges_under_review(order):
        yield f"{order.status}, but a charge is under review", {"charges": [*pending]}


def _parcels_returned_in_time(order: OrderRecords) -> list[str]:
    """Return the parcels of whose return the order was informed while it tracked its delivery.

    It was informed by a webhook that the shipping service received after the return, and had
    processed before the deadline.
    """
    deadline = order.row.get("tracking_deadline") if order.row else None
    if deadline is None:
        return []
    return [
        parcel["id"]
        for parcel in order.parcels
        if parcel.get("status") == "returned"
        and any(
            webhook.status == "COMPLETED"
            and webhook.started_at is not None
            and webhook.started_at >= datetime.fromisoformat(parcel["status_changed_at"])
            and webhook.closed_at is not None
            and webhook.closed_at < deadline
            for webhook in order.carrier_webhooks
        )
    ]


def _charges_under_review(order: OrderRecords) -> list[str]:
    return [one["id"] for one in order.provider_charges if one["status"] == "under_review"]
