"""Each inconsistency between the records violates its invariant."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fuze_chaos.checker.checker import check
from fuze_chaos.checker.order_invariants import single_parcel
from fuze_chaos.checker.payment_invariants import ledger_matches_provider
from fuze_chaos.checker.results import Verdict
from fuze_chaos.snapshots.records import (
    CARRIER,
    OPERATOR,
    OperatorAction,
    OrderRecords,
    RequestRecord,
    Snapshot,
    WorkflowRecord,
)

ORDER = "11111111-1111-4111-8111-111111111111"
PAYMENT = UUID("22222222-2222-4222-8222-222222222222")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

SHIPPED_EVENTS = [
    ("order_received", "received", "none"),
    ("order_validated", "awaiting_approval", "none"),
    ("order_approved", "approved", "pending"),
    ("payment_charged", "paid", "charged"),
    ("shipping_started", "preparing", "charged"),
    ("order_shipped", "shipped", "charged"),
]
COMPENSATED_EVENTS = [
    *SHIPPED_EVENTS[:4],
    ("cancellation_started", "cancelling", "refunding"),
    ("payment_refunded", "cancelling", "refunded"),
    ("order_cancelled", "cancelled", "refunded"),
]

Mutate = Callable[[OrderRecords], object]


def _events(rows: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "seq": seq,
            "type": kind,
            "status": status,
            "payment_status": payment,
            "recorded_at": NOON + timedelta(seconds=seq),
        }
        for seq, (kind, status, payment) in enumerate(rows, start=1)
    ]


def _ledger_entries(*, captured: int = 0, refunded: int = 0) -> list[dict[str, Any]]:
    both = {"payment_id": PAYMENT, "recorded_at": NOON + timedelta(seconds=4)}
    return [
        both | {"account": "provider", "debit_minor": captured, "credit_minor": refunded},
        both | {"account": "sales", "debit_minor": refunded, "credit_minor": captured},
    ]


def shipped() -> OrderRecords:
    """A shipped order, consistent in every system of record."""
    return OrderRecords(
        ORDER,
        row={
            "status": "shipped",
            "payment_status": "charged",
            "last_seq": 6,
            "needs_attention": False,
            "total_minor": 500,
            "tracking_number": "FZ1",
        },
        events=_events(SHIPPED_EVENTS),
        payments=[
            {"payment_id": PAYMENT, "state": "charged", "amount_minor": 500, "refunded_minor": 0,
             "payment_token": f"{ORDER}:1"}
        ],
        ledger=_ledger_entries(captured=500),
        shipments=[{"state": "dispatched"}],
        provider_charges=[
            {"id": "ch_1", "payment_id": str(PAYMENT), "status": "charged", "amount_minor": 500}
        ],
        parcels=[{"id": "pcl_1", "created_at": (NOON + timedelta(seconds=5)).isoformat()}],
        workflow=WorkflowRecord(
            "COMPLETED",
            {"status": "shipped", "payment_status": "charged", "tracking_number": "FZ1"},
        ),
        requests=[request("place", ORDER, status=202, body={"order_id": ORDER})],
    )  # fmt: skip


def cancelled() -> OrderRecords:
    """An order that was cancelled after its charge, and refunded."""
    order = shipped()
    order.events = _events(COMPENSATED_EVENTS)
    order.parcels = []
    order.shipments = []
    order.provider_refunds = [{"id": "re_1", "charge_id": "ch_1", "amount_minor": 500}]
    order.refunds = [
        {"refund_id": UUID(int=1), "state": "refunded", "amount_minor": 500,
         "actor": "payment-service"}
    ]  # fmt: skip
    order.payments[0]["refunded_minor"] = 500
    order.ledger += _ledger_entries(refunded=500)
    order.row = (order.row or {}) | {
        "status": "cancelled", "payment_status": "refunded", "last_seq": 7, "tracking_number": None
    }  # fmt: skip
    order.workflow = WorkflowRecord(
        "COMPLETED",
        {"status": "cancelled", "payment_status": "refunded", "tracking_number": None},
    )
    order.requests.append(request("cancel", status=200))
    return order


def refunded() -> OrderRecords:
    """A shipped order of which 200 of 500 were refunded on request."""
    order = shipped()
    refund_id = UUID(int=7)
    details = json.dumps({"refund_id": str(refund_id), "amount_minor": 200})
    order.events = _events(
        [
            *SHIPPED_EVENTS,
            ("refund_requested", "shipped", "charged"),
            ("payment_refunded", "shipped", "partially_refunded"),
        ]
    )
    order.events[0]["details"] = json.dumps({"total_minor": 500})
    order.events[6]["details"] = order.events[7]["details"] = details
    order.provider_refunds = [{"id": "re_1", "charge_id": "ch_1", "amount_minor": 200}]
    order.refunds = [
        {"refund_id": refund_id, "state": "refunded", "amount_minor": 200, "actor": "grace"}
    ]
    order.payments[0]["refunded_minor"] = 200
    order.ledger += _ledger_entries(refunded=200)
    order.ledger[-1]["recorded_at"] = order.ledger[-2]["recorded_at"] = NOON + timedelta(hours=1)
    order.row = (order.row or {}) | {"payment_status": "partially_refunded", "last_seq": 8}
    body = {"refund_id": str(refund_id), "amount_minor": 200}
    order.requests.append(request("refund", "refund-1", status=202, body=body))
    return order


def request(
    operation: str,
    identity: str | None = None,
    *,
    is_key_reuse: bool = False,
    **response: Any,  # noqa: ANN401 - of any type
) -> RequestRecord:
    return RequestRecord(operation, 0, identity, is_key_reuse, **response)


def snapshot(order: OrderRecords, **changes: Any) -> Snapshot:  # noqa: ANN401 - of any kind
    fields: dict[str, Any] = {
        "discrepancies": [],
        "open_workflows": [],
        "connections": [],
    } | changes
    return Snapshot(orders={order.order_id: order}, requests=order.requests, **fields)


def violated(found: Snapshot, logged_errors: list[str] | None = None) -> set[str]:
    return {
        one.invariant
        for one in check(found, logged_errors=logged_errors or [])
        if one.verdict is Verdict.FAIL
    }


def _set(field: str, **values: Any) -> Mutate:  # noqa: ANN401 - of any kind
    def change(order: OrderRecords) -> None:
        records = getattr(order, field)
        (records[0] if isinstance(records, list) else records).update(values)

    return change


def _add(field: str, entry: Any) -> Mutate:  # noqa: ANN401 - of any kind
    return lambda order: getattr(order, field).append(copy.deepcopy(entry))


def _drop(field: str) -> Mutate:
    return lambda order: getattr(order, field).clear()


@pytest.mark.parametrize("order", [shipped, cancelled])
def test_consistent_records_pass(order: Callable[[], OrderRecords]) -> None:
    assert {one.verdict for one in check(snapshot(order()), logged_errors=[])} == {Verdict.PASS}


SECOND_CHARGE = {
    "id": "ch_2", "payment_id": str(PAYMENT), "status": "charged", "amount_minor": 500
}  # fmt: skip
UNDER_REVIEW = {"status": "under_review"}
REPEAT = request("place", ORDER, status=202, body={"order_id": "another"})
REJECTED_REPEAT = request("place", ORDER, status=409, body={"type": "order-exists"})
KEY_REUSE = request("place", ORDER, is_key_reuse=True, status=202, body={"order_id": ORDER})


@pytest.mark.parametrize(
    ("inconsistency", "mutate", "invariant"),
    [
        ("two charges", _add("provider_charges", SECOND_CHARGE), "I1"),
        ("a second charge under review",
         _add("provider_charges", SECOND_CHARGE | UNDER_REVIEW), "I1"),
        ("paid without a charge", _drop("provider_charges"), "I1"),
        ("a charge without a payment", _set("provider_charges", payment_id="other"), "I2"),
        ("a capture missing in the ledger", _drop("ledger"), "I2"),
        ("an unbalanced ledger", _set("ledger", debit_minor=499), "I2"),
        ("a refund missing in the ledger", _set("payments", refunded_minor=100), "I2"),
        ("no workflow", lambda order: setattr(order, "workflow", None), "I3"),
        ("no row", lambda order: setattr(order, "row", None), "I3"),
        ("a workflow that is still running",
         lambda order: setattr(order, "workflow", WorkflowRecord("RUNNING")), "I3"),
        ("dispatched before the capture", _set("parcels", created_at=NOON.isoformat()), "I4"),
        ("captured less than the total", _set("row", total_minor=501), "I4"),
        ("captured more than the total", _set("row", total_minor=499), "I4"),
        ("refunded before the dispatch",
         lambda order: order.ledger.extend(_ledger_entries(refunded=500)), "I4"),
        ("two parcels", _add("parcels", {"id": "pcl_2", "created_at": NOON.isoformat()}), "I6"),
        ("no parcel", _drop("parcels"), "I6"),
        ("delivered without a parcel",
         lambda order: (_drop("parcels")(order), _set("row", status="delivered")(order)),
         "I6"),
        ("a parcel without an order", lambda order: setattr(order, "row", None), "I4"),
        ("a row without a workflow", lambda order: setattr(order, "workflow", None), "I8"),
        ("a missing event", lambda order: order.events.pop(2), "I7"),
        ("another status in the row", _set("row", status="preparing"), "I7"),
        ("a row behind its events", _set("row", last_seq=5), "I7"),
        ("a view that differs from the result", _set("row", tracking_number="FZ2"), "I8"),
        ("an unexpected workflow failure",
         lambda order: setattr(order, "workflow", WorkflowRecord("FAILED", failure="Bug")), "I8"),
        ("another response to the same key", _add("requests", REPEAT), "I9"),
        ("a rejected repeat", _add("requests", REJECTED_REPEAT), "I9"),
        ("an accepted key reuse", _add("requests", KEY_REUSE), "I9"),
        ("an unresolved payment", _set("payments", state="unknown"), "I10"),
        ("an unresolved shipment", _set("shipments", state="dispatching"), "I10"),
        ("a server error", _add("requests", request("cancel", status=500)), "I11"),
        ("503 without Retry-After",
         _add("requests", request("cancel", status=503)), "I11"),
    ],
)  # fmt: skip
def test_an_inconsistent_shipped_order_violates_an_invariant(
    inconsistency: str, mutate: Mutate, invariant: str
) -> None:
    order = shipped()
    mutate(order)

    assert invariant in violated(snapshot(order)), inconsistency


@pytest.mark.parametrize(
    ("inconsistency", "mutate", "invariant"),
    [
        ("no refund at the provider", _drop("provider_refunds"), "I5"),
        ("a charge under review", _set("provider_charges", status="under_review"), "I5"),
        ("an unresolved refund", _set("refunds", state="submitted"), "I10"),
        ("a shipment that was not cancelled", _add("shipments", {"state": "prepared"}), "I10"),
        ("a parcel after the cancellation",
         _add("parcels", {"id": "pcl_1", "created_at": NOON.isoformat()}), "I6"),
        ("no refund in the ledger", lambda order: order.ledger.__delitem__(slice(2, 4)), "I2"),
    ],
)  # fmt: skip
def test_an_inconsistent_cancelled_order_violates_an_invariant(
    inconsistency: str, mutate: Mutate, invariant: str
) -> None:
    order = cancelled()
    mutate(order)

    assert invariant in violated(snapshot(order)), inconsistency


def test_a_refunded_order_that_is_consistent_violates_nothing() -> None:
    assert violated(snapshot(refunded())) == set()


@pytest.mark.parametrize(
    ("inconsistency", "mutate", "invariant"),
    [
        ("an accepted refund without a record", _drop("refunds"), "I12"),
        ("another amount than accepted", _set("refunds", amount_minor=100), "I12"),
        ("no event of the request", lambda order: order.events.pop(6), "I12"),
        ("no event of the refund", lambda order: order.events.pop(7), "I12"),
        ("still charged", _set("row", payment_status="charged"), "I12"),
        ("refunded in full", _set("row", payment_status="refunded"), "I12"),
        ("a status that the events do not lead to", _set("row", payment_status="charged"), "I7"),
        ("nothing refunded at the provider", _drop("provider_refunds"), "I12"),
        ("no live charge", _set("provider_refunds", amount_minor=500), "I1"),
    ],
)  # fmt: skip
def test_an_inconsistent_refunded_order_violates_an_invariant(
    inconsistency: str, mutate: Mutate, invariant: str
) -> None:
    order = refunded()
    mutate(order)

    assert invariant in violated(snapshot(order)), inconsistency


@pytest.mark.parametrize("decision", ["cancel", "reject"])
def test_an_accepted_decision_without_effect_violates_i6(decision: str) -> None:
    order = shipped()
    order.requests.append(request(decision, status=200))

    assert violated(snapshot(order)) == {"I6"}


def action(kind: str, **fields: Any) -> OperatorAction:  # noqa: ANN401 - of any type
    return OperatorAction(**{"fault": 1, "at": 0, "kind": kind, "workflow": "order"} | fields)


@pytest.mark.parametrize("kind", ["terminate", "delete"])
@pytest.mark.parametrize("workflow", [None, WorkflowRecord("TERMINATED")])
def test_a_finished_order_whose_workflow_an_operator_ended_needs_no_result(
    kind: str, workflow: WorkflowRecord | None
) -> None:
    order = shipped()
    order.workflow = workflow

    assert violated(snapshot(order)) >= {"I8"}
    order.operator_actions = [action(kind)]
    assert violated(snapshot(order)) == set()


@pytest.mark.parametrize("workflow", [None, WorkflowRecord("TERMINATED")])
def test_an_open_order_whose_workflow_an_operator_ended_violates_i3(
    workflow: WorkflowRecord | None,
) -> None:
    order = shipped()
    order.workflow, order.operator_actions = workflow, [action("terminate")]
    assert order.row
    order.row["status"] = "preparing"

    assert violated(snapshot(order)) >= {"I3", "I8"}


def test_a_shipment_that_an_operator_ended_does_not_excuse_its_order() -> None:
    order = shipped()
    order.workflow = WorkflowRecord("TERMINATED")
    order.operator_actions = [action("terminate", workflow="shipping")]

    assert violated(snapshot(order)) == {"I8"}


@pytest.mark.parametrize(("kind", "violations"), [("delete", set()), ("terminate", {"I9"})])
def test_only_the_key_of_an_order_without_any_workflow_may_be_used_again(
    kind: str, violations: set[str]
) -> None:
    order = shipped()
    order.requests.append(KEY_REUSE)
    order.operator_actions = [action(kind)]

    assert violated(snapshot(order)) == violations


CANCEL = {"is_accepted": True, "status": "awaiting_approval"}


def test_an_order_that_is_dispatched_after_an_operators_cancellation_violates_i6() -> None:
    order = shipped()
    order.operator_actions = [action("cancel", **CANCEL)]

    assert violated(snapshot(order)) == {"I6"}


@pytest.mark.parametrize(
    "actions",
    [
        [action("cancel", is_accepted=True, status="approved")],
        [action("cancel", status="awaiting_approval")],
        [action("cancel", **CANCEL), action("reset", excludes_messages=True)],
        [action("cancel", **CANCEL), action("terminate")],
    ],
)
def test_an_order_may_be_dispatched_after_a_cancellation_that_does_not_bind_it(
    actions: list[OperatorAction],
) -> None:
    order = shipped()
    order.operator_actions = actions

    assert violated(snapshot(order)) == set()


def test_an_operators_cancellation_binds_the_order_after_a_reset_that_re_applies_it() -> None:
    order = shipped()
    order.operator_actions = [action("cancel", **CANCEL), action("reset")]

    assert violated(snapshot(order)) == {"I6"}


@pytest.mark.parametrize(
    ("kind", "invariant"),
    [
        ("money_kept", "I5"),
        ("parcel_of_cancelled_order", "I6"),
        ("shipped_without_parcel", "I6"),
    ],
)
def test_what_the_reconciliation_of_orders_found_is_a_violation_even_if_repaired(
    kind: str, invariant: str
) -> None:
    order = cancelled()
    order.discrepancies = [{"kind": kind, "details": {}}]

    assert violated(snapshot(order)) == {invariant}


def test_an_order_that_is_flagged_as_missing_its_workflow_needs_no_event() -> None:
    order = shipped()
    assert order.row
    order.row |= {"needs_attention": True}
    assert violated(snapshot(order)) == {"I7"}

    order.row |= {"workflow_missing_at": NOON}

    assert violated(snapshot(order)) == set()


def returned_parcel(*, webhook_closed: float, deadline: float) -> OrderRecords:
    """A shipped order whose parcel was returned; moments in seconds after noon."""
    order = shipped()
    assert order.row
    order.row["tracking_deadline"] = NOON + timedelta(seconds=deadline)
    order.parcels[0] |= {
        "status": "returned",
        "status_changed_at": (NOON + timedelta(seconds=10)).isoformat(),
    }
    order.carrier_webhooks = [
        WorkflowRecord(
            "COMPLETED",
            started_at=NOON + timedelta(seconds=11),
            closed_at=NOON + timedelta(seconds=webhook_closed),
        )
    ]
    return order


def test_an_order_that_knew_of_the_return_in_time_and_keeps_the_money_violates_i5() -> None:
    assert violated(snapshot(returned_parcel(webhook_closed=12, deadline=20))) == {"I5"}


def test_a_return_that_became_known_after_the_deadline_is_no_violation() -> None:
    assert violated(snapshot(returned_parcel(webhook_closed=21, deadline=20))) == set()


def test_a_webhook_that_was_received_before_the_return_says_nothing_of_it() -> None:
    order = returned_parcel(webhook_closed=12, deadline=20)
    order.carrier_webhooks[0].started_at = NOON + timedelta(seconds=9)

    assert violated(snapshot(order)) == set()


def test_an_unreadable_operator_log_leaves_what_depends_on_it_unknown() -> None:
    results = check(snapshot(shipped(), unreadable={OPERATOR: "gone"}), logged_errors=[])

    unknown = {one.invariant for one in results if one.verdict is Verdict.UNKNOWN}
    assert unknown == {"I3", "I6", "I8"}


@pytest.mark.parametrize(
    "leftover",
    [
        {"open_workflows": ["shipping/1"]},
        {"discrepancies": [{"kind": "duplicate_charge", "order_id": None, "reference": "ch_1",
                            "details": "{}"}]},
        {"connections": [{"application_name": "fuze-order", "state": "idle", "since_seconds": 1.0,
                       "query": "COMMIT"}] * 11},
        {"connections": [{"application_name": "fuze-order", "state": "idle in transaction",
                       "since_seconds": 60.0, "query": "SELECT 1"}]},
    ],
)  # fmt: skip
def test_leftovers_of_a_run_violate_i10(leftover: dict[str, Any]) -> None:
    assert violated(snapshot(shipped(), **leftover)) == {"I10"}


def test_a_non_deterministic_workflow_violates_i10() -> None:
    assert violated(snapshot(shipped()), logged_errors=["[TMPRL1100] Nondeterminism error"]) == {
        "I10"
    }


def test_a_run_without_an_accepted_order_leaves_i3_unknown() -> None:
    requests = [request("place", ORDER), request("place", ORDER, status=429)]

    verdicts = {
        one.invariant: one.verdict
        for one in check(snapshot(OrderRecords(ORDER, requests=requests)), logged_errors=[])
    }

    assert verdicts.pop("I3") is Verdict.UNKNOWN
    assert set(verdicts.values()) == {Verdict.PASS}


def test_a_late_order_violates_i3_once() -> None:
    (completion,) = (
        one
        for one in check(snapshot(shipped()), logged_errors=[], late=frozenset({ORDER}))
        if one.verdict is Verdict.FAIL
    )

    assert (completion.invariant, len(completion.violations)) == ("I3", 1)


def test_a_503_with_retry_after_is_no_violation() -> None:
    order = shipped()
    order.requests.append(request("cancel", status=503, retry_after="1"))

    assert violated(snapshot(order)) == set()


def test_an_unreadable_system_leaves_its_invariants_unknown() -> None:
    order = shipped()
    order.parcels = []

    verdicts = {
        one.invariant: one.verdict
        for one in check(snapshot(order, unreadable={CARRIER: "gone"}), logged_errors=[])
    }

    assert {name for name, verdict in verdicts.items() if verdict is Verdict.UNKNOWN} == {
        "I4",
        "I5",
        "I6",
    }
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAIL} == set()


def test_a_total_that_is_not_the_sum_of_its_parts_is_found() -> None:
    order = shipped()
    line = {"sku": "A", "quantity": 2, "unit_price_minor": 300, "discount_minor": 50,
            "tax_minor": 10, "requires_shipping": True}  # fmt: skip
    shipping = {"kind": "shipping", "label": "Express", "amount_minor": 40}
    discount = {"kind": "discount", "label": "Spring", "amount_minor": 100}
    order.row = (order.row or {}) | {"lines": [line], "adjustments": [shipping, discount]}
    assert [*ledger_matches_provider(order)] == []

    order.row |= {"adjustments": [shipping]}

    [(problem, evidence)] = ledger_matches_provider(order)
    assert problem == "the total is not the sum of lines and adjustments"
    assert evidence == {"total": 500, "sum": 600}


def test_a_payment_of_another_amount_than_the_total_is_found() -> None:
    order = shipped()
    order.row = (order.row or {}) | {"total_minor": 501}

    problems = [problem for problem, _ in ledger_matches_provider(order)]

    assert "a payment is not of the order's total" in problems


def test_a_completed_order_with_something_to_ship_is_found() -> None:
    order = shipped()
    order.parcels = []
    order.row = (order.row or {}) | {
        "status": "completed",
        "lines": [{"sku": "A", "requires_shipping": True}],
    }

    assert [problem for problem, _ in single_parcel(order)] == [
        "completed, but some lines require shipping"
    ]
