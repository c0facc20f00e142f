"""Invariants of an order: its completion, parcel, events, view and responses."""

from collections import defaultdict

from pydantic import JsonValue

from fuze_chaos.reference_model import (
    TERMINAL_STATUSES,
    binding_cancellation,
    may_accept_key_reuse,
    may_lack_result,
    replay,
)
from fuze_chaos.snapshots.records import Findings, OrderRecords

_FINAL_STATUS_AFTER = {"cancel": "cancelled", "reject": "rejected"}
_RESOLVED_PAYMENTS = frozenset({"charged", "declined", "voided"})
_RESOLVED_REFUNDS = frozenset({"refunded", "rejected"})
_RESOLVED_RETURNS = frozenset({"rejected", "cancelled", "refunded", "refund_failed"})
_UNRESOLVED_SHIPMENTS = frozenset({"prepared", "dispatching"})
_DISPATCHED = frozenset({"shipped", "delivered", "returned"})
_PARCEL_DISCREPANCIES = frozenset({"parcel_of_cancelled_order", "shipped_without_parcel"})
_REFUNDED_LATER = frozenset({"partially_refunded", "refunded"})
_REPEAT_REJECTED = frozenset({409, 422})


def accepted_order_completes(order: OrderRecords) -> Findings:
    """Find accepted orders that are missing, or have not ended."""
    if not order.is_accepted:
        return
    has_ended = _has_ended(order)
    may_be_missing = has_ended and may_lack_result(order.operator_actions)
    if order.workflow is None and not may_be_missing:
        yield "accepted, but Temporal has no workflow", {}
    if order.row is None:
        yield "accepted, but PostgreSQL has no row", {}
        return
    is_closed = order.workflow.status != "RUNNING" if order.workflow else may_be_missing
    if not (has_ended and is_closed):
        yield "has not reached a final status", {"status": order.status or ""}


def single_parcel(order: OrderRecords) -> Findings:
    """Find missing or extra parcels, and accepted cancellations without effect."""
    parcels = [one["id"] for one in order.parcels]
    if len(parcels) > 1:
        yield f"{len(parcels)} parcels", {"parcels": parcels}
    if parcels and order.status not in _DISPATCHED | {None}:
        yield f"{order.status}, but the carrier has a parcel", {"parcels": parcels}
    if not parcels and order.status in _DISPATCHED:
        yield f"{order.status}, but the carrier has no parcel", {}
    to_ship = [one["sku"] for one in order.parts("lines") if one["requires_shipping"]]
    if order.status == "completed" and to_ship:
        yield "completed, but some lines require shipping", {"lines": [*to_ship]}
    for one in order.discrepancies:
        if one["kind"] in _PARCEL_DISCREPANCIES:
            yield f"reconciliation found: {one['kind']}", {"details": str(one["details"])}
    for request in order.requests:
        final = _FINAL_STATUS_AFTER.get(request.operation)
        if final and request.is_accepted and (parcels or order.status != final):
            yield (
                f"{request.operation} was accepted, but the order continued",
                {"status": order.status, "parcels": parcels},
            )
    cancellation = binding_cancellation(order.operator_actions)
    if cancellation and (parcels or order.status in _DISPATCHED):
        yield (
            "an operator's cancellation was accepted, but the order continued",
            {"status": order.status, "parcels": parcels, "fault": cancellation.fault},
        )


def events_match_row(order: OrderRecords) -> Findings:
    """Replay the events with the reference model, and compare the order's row."""
    replayed = replay(order.events)
    if replayed.error:
        yield replayed.error, {"events": [one["type"] for one in order.events]}
        return
    row = order.row
    if row is None:
        # An order that was never accepted is in the client's log alone.
        if order.events:
            yield "there are events, but no row", {}
        return
    recorded = (row["status"], row["payment_status"], row["last_seq"], row["needs_attention"])
    expected = (
        replayed.status,
        replayed.payment_status,
        replayed.seq,
        # The comparison with Temporal flags an order without an event.
        replayed.needs_attention
        or bool(row.get("workflow_missing_at"))
        or bool(row.get("workflow_failing_since") and row["needs_attention"]),
    )
    if recorded != expected:
        yield (
            "the row is not the state that its events lead to",
            {"row": list(recorded), "events": list(expected)},
        )


def view_matches_workflow(order: OrderRecords) -> Findings:
    """Compare the published view with the workflow's result."""
    workflow, row = order.workflow, order.row
    is_running = workflow is not None and workflow.status == "RUNNING"
    if row is None or is_running or _has_ended_without_result(order):
        return
    if workflow is None:
        yield "PostgreSQL has an order without a workflow in Temporal", {"row": row["status"]}
        return
    evidence: dict[str, JsonValue] = {
        "workflow": workflow.status,
        "result": workflow.result,
        "failure": workflow.failure,
        "row": row["status"],
    }
    match workflow.status:
        case "COMPLETED" if workflow.result is not None:
            for name in ("status", "payment_status", "tracking_number"):
                # An order that has ended can still be refunded.
                is_refunded = name == "payment_status" and row[name] in _REFUNDED_LATER
                if workflow.result.get(name) != row[name] and not is_refunded:
                    yield f"{name} differs between the workflow's result and the view", evidence
        case "FAILED" if workflow.failure == "OrderRejected":
            if row["status"] != "rejected":
                yield "the workflow failed with OrderRejected, the view disagrees", evidence
        case "CANCELED":
            if row["status"] != "cancelled":
                yield "the workflow was cancelled, the view disagrees", evidence
        case _:
            yield "the workflow closed in an unexpected way", evidence


def idempotent_responses(order: OrderRecords) -> Findings:
    """Find repeats that got another response, and reused keys that were accepted."""
    responses: dict[str, set[str]] = defaultdict(set)
    for request in order.requests:
        if request.identity is None:
            continue
        is_accepted_reuse = request.is_key_reuse and request.is_accepted
        if is_accepted_reuse and not may_accept_key_reuse(order.operator_actions):
            yield (
                "a different request under a used key was accepted",
                {"identity": request.identity},
            )
        if request.is_accepted and not request.is_key_reuse:
            responses[f"{request.operation} {request.identity}"].add(str(request.body))
        # The workload places no invalid order, so this is a repeat whose first response was lost.
        is_first_or_repeat = request.operation == "place" and not request.is_key_reuse
        if is_first_or_repeat and request.status in _REPEAT_REJECTED:
            yield (
                f"a repeat under the same key was rejected with {request.status}",
                {"identity": request.identity, "response": str(request.body)},
            )
    for identity, bodies in responses.items():
        if len(bodies) > 1:
            yield (
                "one key got different responses",
                {"identity": identity, "responses": list[JsonValue](sorted(bodies))},
            )


def nothing_unresolved(order: OrderRecords) -> Findings:
    """Find payments, refunds, returns and shipments that are still in progress."""
    for payment in order.payments:
        if payment["state"] not in _RESOLVED_PAYMENTS:
            yield "a payment is unresolved", {"payment": str(payment["payment_id"])}
    for refund in order.refunds:
        if refund["state"] not in _RESOLVED_REFUNDS:
            yield "a refund is unresolved", {"refund": str(refund["refund_id"])}
    for one in order.returns:
        if one["status"] not in _RESOLVED_RETURNS:
            yield "a return is unresolved", {"return": str(one["return_id"])}
    for shipment in order.shipments:
        if shipment["state"] in _UNRESOLVED_SHIPMENTS:
            yield "a shipment is unresolved", {"shipment": shipment["state"]}


def _has_ended_without_result(order: OrderRecords) -> bool:
    """Whether an operator ended the workflow after the last commit of its order."""
    has_no_result = order.workflow is None or order.workflow.status == "TERMINATED"
    return has_no_result and _has_ended(order) and may_lack_result(order.operator_actions)


def _has_ended(order: OrderRecords) -> bool:
    if order.row is None:
        return False
    return order.status in TERMINAL_STATUSES and order.row["payment_status"] != "refunding"
