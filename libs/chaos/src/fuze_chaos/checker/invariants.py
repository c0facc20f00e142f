"""What must be true of every order, whatever happened: one function an invariant."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from fuze_chaos.books import Account
from fuze_chaos.life import ENDS, fold

Found = Iterator[tuple[str, dict[str, JsonValue]]]
"""What is wrong with an order, and what the books say of it."""

_KEEPS_NOTHING = frozenset({"cancelled", "rejected", "expired", "payment_declined", "returned"})
_ENDS_AT_ONCE = {"cancel": "cancelled", "reject": "rejected"}
"""Where an order ends that accepts a decision."""

_SETTLED = frozenset({"charged", "declined", "voided"})
_MAY_BE_HANDED_OVER = frozenset({"prepared", "dispatching"})
_HANDED_OVER = frozenset({"shipped", "delivered", "returned"})
_REFUSED = frozenset({409, 422})


@dataclass(frozen=True)
class Invariant:
    """One sentence that holds of each order, the books that it takes, and how it is looked for."""

    name: str
    title: str
    takes: frozenset[str]
    of_each: Callable[[Account], Found]


def _one_live_charge(account: Account) -> Found:
    per_payment = Counter(one["payment_id"] for one in account.charges)
    for payment_id, times in per_payment.items():
        if times > 1:
            yield f"charged {times} times for one payment", {"payment_id": payment_id}
    given_back: Counter[str] = Counter()
    for one in account.given_back:
        given_back[one["charge_id"]] += one["amount_minor"]
    live = [
        one["id"]
        for one in account.charges
        if one["status"] == "charged" and given_back[one["id"]] < one["amount_minor"]
    ]
    # What is reserved counts, too: the provider may still take it.
    reserved = [one["id"] for one in account.charges if one["status"] == "under_review"]
    if len(live) + len(reserved) > 1:
        yield f"{len(live) + len(reserved)} live charges", {"charges": [*live, *reserved]}
    is_paid = account.row and account.row["payment_status"] == "charged"
    refunded_on_request = any(one["state"] == "refunded" for one in account.refunds)
    costs = account.row and account.row["total_minor"] > 0
    if is_paid and costs and not live and not refunded_on_request:
        yield "paid, and the provider has no live charge", {}


def _ledger_is_the_providers(account: Account) -> Found:
    charges = {one["payment_id"]: one for one in account.charges}
    known = {str(one["id"]) for one in account.payments}
    for payment_id, charge in charges.items():
        if payment_id not in known:
            yield "the provider has a charge of which we know nothing", {"charge": charge["id"]}
    for payment in account.payments:
        yield from _one_payment(payment, account, charges.get(str(payment["id"])))
    debit = sum(one["debit_minor"] for one in account.ledger)
    credit = sum(one["credit_minor"] for one in account.ledger)
    if debit != credit:
        yield "debits are not credits", {"debits": debit, "credits": credit}


def _one_payment(payment: dict[str, Any], account: Account, charge: dict[str, Any] | None) -> Found:
    payment_id = str(payment["id"])
    entries = [one for one in account.ledger if str(one["payment_id"]) == payment_id]
    at_provider = [one for one in entries if one["account"] == "provider"]
    captured = sum(one["debit_minor"] for one in at_provider)
    refunded = sum(one["credit_minor"] for one in at_provider)
    taken = charge["amount_minor"] if charge and charge["status"] == "charged" else 0
    given_back = sum(
        one["amount_minor"]
        for one in account.given_back
        if charge is not None and one["charge_id"] == charge["id"]
    )
    evidence: dict[str, JsonValue] = {
        "payment_id": payment_id,
        "state": payment["state"],
        "amount": payment["amount_minor"],
        "ledger captured": captured,
        "ledger refunded": refunded,
        "row refunded": payment["refunded_minor"],
        "provider taken": taken,
        "provider given back": given_back,
    }
    if captured != taken:
        yield "the ledger's capture is not the provider's", evidence
    if refunded != given_back:
        yield "the ledger's refunds are not the provider's", evidence
    if payment["refunded_minor"] != refunded:
        yield "the row's refunds are not the ledger's", evidence
    if refunded > captured:
        yield "more was given back than was taken", evidence
    if (payment["state"] == "charged") != (captured == payment["amount_minor"]) and payment[
        "amount_minor"
    ]:
        yield "the payment's state is not what the ledger says", evidence


def _kept_promise(account: Account) -> Found:
    if not account.is_promised:
        return
    if account.workflow is None:
        yield "accepted, and Temporal does not know it", {}
    if account.row is None:
        yield "accepted, and PostgreSQL does not know it", {}
        return
    is_over = account.status in ENDS and account.row["payment_status"] != "refunding"
    is_closed = account.workflow is not None and account.workflow.status != "RUNNING"
    if not (is_over and is_closed):
        yield "has not ended within its time", {"status": account.status or ""}


def _paid_before_handed_over(account: Account) -> Found:
    if not account.parcels:
        return
    if account.row is None:
        yield "the carrier has a parcel of an order that PostgreSQL does not know", {}
        return
    if account.row["total_minor"] == 0:
        return
    parcel = min(datetime.fromisoformat(one["created_at"]) for one in account.parcels)
    before = [
        one
        for one in account.ledger
        if one["account"] == "provider" and one["recorded_at"] <= parcel
    ]
    had = sum(one["debit_minor"] - one["credit_minor"] for one in before)
    if had != account.row["total_minor"]:
        yield (
            "handed to the carrier, and what was taken by then is not its total",
            {"parcel": str(parcel), "had by then": had, "total": account.row["total_minor"]},
        )


def _nothing_is_kept(account: Account) -> Found:
    if account.status not in _KEEPS_NOTHING:
        return
    if kept := account.taken():
        yield f"{account.status}, and {kept} are kept", {"kept": kept}
    # What the provider reserves it may still take, when its reviewers come to it.
    if held := [one["id"] for one in account.charges if one["status"] == "under_review"]:
        yield f"{account.status}, and a charge is still held", {"under_review": list(held)}


def _one_parcel(account: Account) -> Found:
    parcels = [one["id"] for one in account.parcels]
    if len(parcels) > 1:
        yield f"{len(parcels)} parcels", {"parcels": parcels}
    if parcels and account.status not in _HANDED_OVER | {None}:
        yield f"{account.status}, and the carrier has its parcel", {"parcels": parcels}
    if not parcels and account.status in _HANDED_OVER:
        yield f"{account.status}, and the carrier has no parcel", {}
    for ask in account.asks:
        end = _ENDS_AT_ONCE.get(ask.what)
        if end and ask.is_accepted and (parcels or account.status != end):
            yield (
                f"{ask.what} was accepted, and the order went on",
                {"status": account.status, "parcels": parcels},
            )


def _events_tell_the_row(account: Account) -> Found:
    folded = fold(account.events)
    if folded.broken:
        yield folded.broken, {"events": [one["type"] for one in account.events]}
        return
    if account.row is None:
        # An order that nobody accepted, as while the gateway is away, is in the client's log alone.
        if account.events:
            yield "there are events and no row", {}
        return
    row = account.row
    says = (row["status"], row["payment_status"], row["last_seq"], row["needs_attention"])
    leads = (folded.status, folded.payment, folded.seq, folded.needs_attention)
    if says != leads:
        yield "the events do not lead to the row", {"row": list(says), "events": list(leads)}


def _view_is_the_result(account: Account) -> Found:
    workflow, row = account.workflow, account.row
    if workflow is None and row is not None:
        yield "PostgreSQL has an order that Temporal does not know", {"row": row["status"]}
    if workflow is None or row is None or workflow.status == "RUNNING":
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
                if workflow.result.get(name) != row[name]:
                    yield f"the workflow's {name} is not the view's", evidence
        case "FAILED" if workflow.failure == "OrderRejected":
            if row["status"] != "rejected":
                yield "the workflow says rejected, the view does not", evidence
        case "CANCELED":
            if row["status"] != "cancelled":
                yield "the workflow says cancelled, the view does not", evidence
        case _:
            yield "the workflow did not end as one of ours does", evidence


def _same_key_same_answer(account: Account) -> Found:
    answers: dict[str, set[str]] = defaultdict(set)
    for ask in account.asks:
        if ask.identity is None:
            continue
        if ask.misuse and ask.is_accepted:
            yield "another request under the same key was accepted", {"identity": ask.identity}
        if ask.is_accepted and not ask.misuse:
            answers[f"{ask.what} {ask.identity}"].add(str(ask.body))
        # No order of the load is ill-formed: it is a repeat, whose first answer may be lost.
        if ask.what == "place" and not ask.misuse and ask.status in _REFUSED:
            yield (
                f"a repeat under the same key was refused with {ask.status}",
                {"identity": ask.identity, "answer": str(ask.body)},
            )
    for identity, told in answers.items():
        if len(told) > 1:
            yield (
                "the same key got different answers",
                {"identity": identity, "answers": list[JsonValue](sorted(told))},
            )


def _nothing_hangs(account: Account) -> Found:
    for payment in account.payments:
        if payment["state"] not in _SETTLED:
            yield "a payment is not settled", {"payment": str(payment["id"])}
    for refund in account.refunds:
        if refund["state"] not in {"refunded", "rejected"}:
            yield "a refund is not settled", {"refund": str(refund["id"])}
    for shipment in account.shipments:
        if shipment["state"] in _MAY_BE_HANDED_OVER:
            yield "a shipment is not settled", {"shipment": shipment["state"]}


OF_EACH_ORDER = (
    Invariant(
        "I1",
        "At most one live charge an order; exactly one where it is paid",
        frozenset({"PostgreSQL", "the provider"}),
        _one_live_charge,
    ),
    Invariant(
        "I2",
        "The ledger is the provider's; captured = refunded + kept; debits = credits",
        frozenset({"PostgreSQL", "the provider"}),
        _ledger_is_the_providers,
    ),
    Invariant(
        "I3",
        "Every accepted order is known to both, and ends in time",
        frozenset({"PostgreSQL", "Temporal", "the client"}),
        _kept_promise,
    ),
    Invariant(
        "I4",
        "Nothing is handed to the carrier before its money is taken",
        frozenset({"PostgreSQL", "the carrier"}),
        _paid_before_handed_over,
    ),
    Invariant(
        "I5",
        "Of what is cancelled, rejected, expired, declined or returned nothing is kept",
        frozenset({"PostgreSQL", "the provider"}),
        _nothing_is_kept,
    ),
    Invariant(
        "I6",
        "At most one parcel an order; none after an accepted cancellation or rejection",
        frozenset({"PostgreSQL", "the carrier", "the client"}),
        _one_parcel,
    ),
    Invariant(
        "I7",
        "Events are 1 to n, follow the life of an order, and lead to its row",
        frozenset({"PostgreSQL"}),
        _events_tell_the_row,
    ),
    Invariant(
        "I8",
        "What is published is what the workflow returned",
        frozenset({"PostgreSQL", "Temporal"}),
        _view_is_the_result,
    ),
    Invariant(
        "I9",
        "The same idempotency key gets the same answer",
        frozenset({"the client"}),
        _same_key_same_answer,
    ),
    Invariant(
        "I10",
        "Nothing hangs: payments settled, workflows closed, books agreed, no connection lost",
        frozenset({"PostgreSQL", "Temporal"}),
        _nothing_hangs,
    ),
)
