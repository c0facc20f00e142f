"""Each thing that may be wrong with the books turns its invariant red, and no other."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fuze_chaos.books import Account, Ask, Books, Workflow
from fuze_chaos.checker import check
from fuze_chaos.outcome import Verdict

ORDER = "11111111-1111-4111-8111-111111111111"
PAYMENT = UUID("22222222-2222-4222-8222-222222222222")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

EVENTS = [
    ("order_received", "received", "none"),
    ("order_validated", "awaiting_approval", "none"),
    ("order_approved", "approved", "pending"),
    ("payment_charged", "paid", "charged"),
    ("shipping_started", "preparing", "charged"),
    ("order_shipped", "shipped", "charged"),
]
UNDONE = [
    *EVENTS[:4],
    ("cancellation_started", "cancelling", "refunding"),
    ("payment_refunded", "cancelling", "refunded"),
    ("order_cancelled", "cancelled", "refunded"),
]

Break = Callable[[Account], object]


def _events(told: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "seq": seq,
            "type": kind,
            "status": status,
            "payment_status": payment,
            "recorded_at": NOON + timedelta(seconds=seq),
        }
        for seq, (kind, status, payment) in enumerate(told, start=1)
    ]


def _posting(*, captured: int = 0, refunded: int = 0) -> list[dict[str, Any]]:
    both = {"payment_id": PAYMENT, "recorded_at": NOON + timedelta(seconds=4)}
    return [
        both | {"account": "provider", "debit_minor": captured, "credit_minor": refunded},
        both | {"account": "sales", "debit_minor": refunded, "credit_minor": captured},
    ]


def shipped() -> Account:
    """An order that is as it should be, in all books."""
    return Account(
        ORDER,
        row={
            "status": "shipped",
            "payment_status": "charged",
            "last_seq": 6,
            "needs_attention": False,
            "total_minor": 500,
            "tracking_number": "FZ1",
        },
        events=_events(EVENTS),
        payments=[
            {"id": PAYMENT, "state": "charged", "amount_minor": 500, "refunded_minor": 0,
             "payment_token": f"{ORDER}:1"}
        ],
        ledger=_posting(captured=500),
        shipments=[{"state": "dispatched"}],
        charges=[
            {"id": "ch_1", "payment_id": str(PAYMENT), "status": "charged", "amount_minor": 500}
        ],
        parcels=[{"id": "pcl_1", "created_at": (NOON + timedelta(seconds=5)).isoformat()}],
        workflow=Workflow(
            "COMPLETED",
            {"status": "shipped", "payment_status": "charged", "tracking_number": "FZ1"},
        ),
        asks=[Ask("place", 0, ORDER, misuse=False, status=202, body={"order_id": ORDER})],
    )  # fmt: skip


def cancelled() -> Account:
    """An order that was cancelled after its charge, and given its money back."""
    account = shipped()
    account.events = _events(UNDONE)
    account.parcels = []
    account.shipments = []
    account.given_back = [{"id": "re_1", "charge_id": "ch_1", "amount_minor": 500}]
    account.refunds = [{"id": UUID(int=1), "state": "refunded"}]
    account.payments[0]["refunded_minor"] = 500
    account.ledger += _posting(refunded=500)
    account.row = (account.row or {}) | {
        "status": "cancelled", "payment_status": "refunded", "last_seq": 7, "tracking_number": None
    }  # fmt: skip
    account.workflow = Workflow(
        "COMPLETED",
        {"status": "cancelled", "payment_status": "refunded", "tracking_number": None},
    )
    account.asks.append(Ask("cancel", 1, None, misuse=False, status=200))
    return account


def books(account: Account, **changes: Any) -> Books:  # noqa: ANN401 - of any kind
    kept: dict[str, Any] = {"discrepancies": [], "open_workflows": [], "backends": []} | changes
    return Books(accounts={account.order_id: account}, asks=account.asks, **kept)


def failed(found: Books, logged: list[str] | None = None) -> set[str]:
    return {
        one.invariant for one in check(found, logged=logged or []) if one.verdict is Verdict.FAIL
    }


def _set(page: str, **values: Any) -> Break:  # noqa: ANN401 - of any kind
    def change(account: Account) -> None:
        kept = getattr(account, page)
        (kept[0] if isinstance(kept, list) else kept).update(values)

    return change


def _add(page: str, entry: Any) -> Break:  # noqa: ANN401 - of any kind
    return lambda account: getattr(account, page).append(copy.deepcopy(entry))


def _drop(page: str) -> Break:
    return lambda account: getattr(account, page).clear()


@pytest.mark.parametrize("account", [shipped, cancelled])
def test_books_that_agree_pass(account: Callable[[], Account]) -> None:
    assert {one.verdict for one in check(books(account()), logged=[])} == {Verdict.PASS}


SECOND_CHARGE = {
    "id": "ch_2", "payment_id": str(PAYMENT), "status": "charged", "amount_minor": 500
}  # fmt: skip
UNDER_REVIEW = {"status": "under_review"}
REPEAT = Ask("place", 2, ORDER, misuse=False, status=202, body={"order_id": "another"})
REFUSED = Ask("place", 2, ORDER, misuse=False, status=409, body={"type": "order-exists"})
MISUSE = Ask("place", 2, ORDER, misuse=True, status=202, body={"order_id": ORDER})


@pytest.mark.parametrize(
    ("what", "breaks", "caught_by"),
    [
        ("charged twice", _add("charges", SECOND_CHARGE), "I1"),
        ("a second charge under review", _add("charges", SECOND_CHARGE | UNDER_REVIEW), "I1"),
        ("paid without a charge", _drop("charges"), "I1"),
        ("a charge that we do not know", _set("charges", payment_id="other"), "I2"),
        ("nothing in the ledger", _drop("ledger"), "I2"),
        ("a ledger out of balance", _set("ledger", debit_minor=499), "I2"),
        ("a refund that nobody recorded", _set("payments", refunded_minor=100), "I2"),
        ("no workflow", lambda account: setattr(account, "workflow", None), "I3"),
        ("no row", lambda account: setattr(account, "row", None), "I3"),
        ("no end", lambda account: setattr(account, "workflow", Workflow("RUNNING")), "I3"),
        ("handed over before the capture", _set("parcels", created_at=NOON.isoformat()), "I4"),
        ("less was taken than it costs", _set("row", total_minor=501), "I4"),
        ("more was taken than it costs", _set("row", total_minor=499), "I4"),
        ("given back before the hand-over",
         lambda account: account.ledger.extend(_posting(refunded=500)), "I4"),
        ("two parcels", _add("parcels", {"id": "pcl_2", "created_at": NOON.isoformat()}), "I6"),
        ("no parcel", _drop("parcels"), "I6"),
        ("delivered without a parcel",
         lambda account: (_drop("parcels")(account), _set("row", status="delivered")(account)),
         "I6"),
        ("a parcel of no order", lambda account: setattr(account, "row", None), "I4"),
        ("a row without a workflow", lambda account: setattr(account, "workflow", None), "I8"),
        ("an event is missing", lambda account: account.events.pop(2), "I7"),
        ("the row is elsewhere", _set("row", status="preparing"), "I7"),
        ("the row is behind", _set("row", last_seq=5), "I7"),
        ("the view is not the result", _set("row", tracking_number="FZ2"), "I8"),
        ("failed for no reason of ours",
         lambda account: setattr(account, "workflow", Workflow("FAILED", failure="Bug")), "I8"),
        ("another answer to the same key", _add("asks", REPEAT), "I9"),
        ("a repeat that was refused", _add("asks", REFUSED), "I9"),
        ("a misuse that was accepted", _add("asks", MISUSE), "I9"),
        ("a claim that is open", _set("payments", state="unknown"), "I10"),
        ("a hand-over that is open", _set("shipments", state="dispatching"), "I10"),
        ("a server error", _add("asks", Ask("cancel", 1, None, misuse=False, status=500)), "I11"),
        ("503 without Retry-After",
         _add("asks", Ask("cancel", 1, None, misuse=False, status=503)), "I11"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_shipped_order_is_noticed(
    what: str, breaks: Break, caught_by: str
) -> None:
    account = shipped()
    breaks(account)

    assert caught_by in failed(books(account)), what


@pytest.mark.parametrize(
    ("what", "breaks", "caught_by"),
    [
        ("the provider gave nothing back", _drop("given_back"), "I5"),
        ("the provider still holds a charge", _set("charges", status="under_review"), "I5"),
        ("a refund is under way for ever", _set("refunds", state="submitted"), "I10"),
        ("a shipment that nobody called off", _add("shipments", {"state": "prepared"}), "I10"),
        ("the parcel was handed over all the same",
         _add("parcels", {"id": "pcl_1", "created_at": NOON.isoformat()}), "I6"),
        ("the ledger has no refund", lambda account: account.ledger.__delitem__(slice(2, 4)), "I2"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_cancelled_order_is_noticed(
    what: str, breaks: Break, caught_by: str
) -> None:
    account = cancelled()
    breaks(account)

    assert caught_by in failed(books(account)), what


@pytest.mark.parametrize("decision", ["cancel", "reject"])
def test_an_accepted_decision_that_came_to_nothing_is_noticed(decision: str) -> None:
    account = shipped()
    account.asks.append(Ask(decision, 1, None, misuse=False, status=200))

    assert failed(books(account)) == {"I6"}


@pytest.mark.parametrize(
    "left",
    [
        {"open_workflows": ["shipping/1"]},
        {"discrepancies": [{"kind": "duplicate_charge", "order_id": None, "reference": "ch_1",
                            "details": "{}"}]},
        {"backends": [{"application_name": "fuze-order", "state": "idle", "since_seconds": 1.0,
                       "query": "COMMIT"}] * 11},
        {"backends": [{"application_name": "fuze-order", "state": "idle in transaction",
                       "since_seconds": 60.0, "query": "SELECT 1"}]},
    ],
)  # fmt: skip
def test_what_is_left_behind_is_noticed(left: dict[str, Any]) -> None:
    assert failed(books(shipped(), **left)) == {"I10"}


def test_code_and_a_history_that_do_not_fit_are_noticed() -> None:
    assert failed(books(shipped()), logged=["[TMPRL1100] Nondeterminism error"]) == {"I10"}


def test_an_order_that_nobody_accepted_breaks_nothing_and_proves_nothing() -> None:
    asks = [Ask("place", 0, ORDER, misuse=False), Ask("place", 1, ORDER, misuse=False, status=429)]

    verdicts = {
        one.invariant: one.verdict for one in check(books(Account(ORDER, asks=asks)), logged=[])
    }

    assert verdicts.pop("I3") is Verdict.UNKNOWN
    assert set(verdicts.values()) == {Verdict.PASS}


def test_an_order_that_ended_too_late_is_noticed_once() -> None:
    (ends,) = (
        one
        for one in check(books(shipped()), logged=[], late=frozenset({ORDER}))
        if one.verdict is Verdict.FAIL
    )

    assert (ends.invariant, len(ends.violations)) == ("I3", 1)


def test_a_503_that_says_when_to_come_again_is_none_of_our_errors() -> None:
    account = shipped()
    account.asks.append(Ask("cancel", 1, None, misuse=False, status=503, retry_after="1"))

    assert failed(books(account)) == set()


def test_a_book_that_cannot_be_read_leaves_unknown_what_takes_it_and_passes_the_rest() -> None:
    account = shipped()
    account.parcels = []

    verdicts = {
        one.invariant: one.verdict
        for one in check(books(account, unread={"the carrier": "gone"}), logged=[])
    }

    assert {name for name, verdict in verdicts.items() if verdict is Verdict.UNKNOWN} == {
        "I4",
        "I6",
    }
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAIL} == set()
