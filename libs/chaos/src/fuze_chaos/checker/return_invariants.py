"""Invariants of returns: accepted ones take their course, and are refunded once."""

from collections import Counter
from collections.abc import Iterable

from fuze_chaos.reference_model import get_details
from fuze_chaos.snapshots.records import Findings, OrderRecords, Row, parse_parts

_ENDED_EARLY = frozenset({"rejected", "cancelled"})
_AFTER_RECEIPT = frozenset({"received", "refunded", "refund_failed"})
_AFTER_APPROVAL = _AFTER_RECEIPT | {"approved", "cancelled"}
_STATUSES_AFTER = {
    "return": _AFTER_APPROVAL | {"requested", "rejected"},
    "return-approve": _AFTER_APPROVAL,
    "return-reject": frozenset({"rejected"}),
    "return-cancel": frozenset({"cancelled"}),
    "return-receive": _AFTER_RECEIPT,
}
"""The statuses in which a return can be after a request was accepted."""

_STATUSES_BEFORE = {
    "requested": frozenset[str](),
    "approved": frozenset({"requested"}),
    "rejected": frozenset({"requested"}),
    "cancelled": frozenset({"requested", "approved"}),
    "received": frozenset({"approved"}),
    "refunded": frozenset({"received"}),
    "refund_failed": frozenset({"received"}),
}


def returns_match_order(order: OrderRecords) -> Findings:
    """Compare accepted requests, returns, their events and their refunds with each other."""
    yield from _check_requests(order)
    yield from _check_events(order)
    yield from _check_refunds(order)
    yield from _check_units(order)
    yield from _check_what_is_owed(order)


def _check_requests(order: OrderRecords) -> Findings:
    statuses = {str(one["return_id"]): one["status"] for one in order.returns}
    for request in order.requests:
        expected = _STATUSES_AFTER.get(request.operation)
        if expected is None or not request.is_accepted:
            continue
        return_id = request.body["return_id"]
        status = statuses.get(return_id)
        if status not in expected:
            yield (
                f"{request.operation} was accepted, but the return is {status or 'missing'}",
                {"return": return_id},
            )


def _check_events(order: OrderRecords) -> Findings:
    """Replay the events of each return, which lead to its status."""
    for one in order.returns:
        return_id = str(one["return_id"])
        status = None
        for event in order.events:
            if get_details(event).get("return_id") != return_id:
                continue
            following = str(event["type"]).removeprefix("return_")
            is_first = status is None and following == "requested"
            if not is_first and status not in _STATUSES_BEFORE[following]:
                yield f"{event['type']} of a return that is {status}", {"return": return_id}
            status = following
        if status != one["status"]:
            yield (
                "a return is not in the status that its events lead to",
                {"return": return_id, "row": one["status"], "events": status},
            )


def _check_refunds(order: OrderRecords) -> Findings:
    refunded = {
        str(one["refund_id"]): one["amount_minor"]
        for one in order.refunds
        if one["state"] == "refunded"
    }
    for one in order.returns:
        return_id, amount = str(one["return_id"]), one["amount_minor"] or 0
        if refunded.get(return_id, 0) != amount:
            yield (
                "a return is refunded with another amount than its refund",
                {"return": return_id, "return's": amount, "refund's": refunded.get(return_id, 0)},
            )


def _check_units(order: OrderRecords) -> Findings:
    """Find lines of which more units are refunded, or returned, than were ordered."""
    ordered = {one["line_id"]: one["quantity"] for one in order.parts("lines")}
    returned = _count_units(
        one["lines"] for one in order.returns if one["status"] not in _ENDED_EARLY
    )
    refunded = _count_units(one.get("lines") for one in order.refunds if one["state"] == "refunded")
    for kind, units in (("returned", returned), ("refunded", refunded)):
        for line_id, count in units.items():
            if count > ordered.get(line_id, 0):
                yield (
                    f"{count} units of a line are {kind}, {ordered.get(line_id, 0)} were ordered",
                    {"line": line_id},
                )


def _check_what_is_owed(order: OrderRecords) -> Findings:
    """Find customers who sent goods back, and get less than these cost."""
    if order.row is None or not order.returns:
        return
    if any(event["type"] == "refund_failed" for event in order.events):
        return  # the provider has rejected a refund, which needs attention
    returned = _count_units(one["lines"] for one in order.returns if one["status"] == "refunded")
    ordered = {one["line_id"]: one["quantity"] for one in order.parts("lines")}
    owed = order.row["total_minor"] - order.row["shipping_minor"]
    refunded = sum(one["amount_minor"] for one in order.provider_refunds)
    if returned == ordered and refunded < owed:
        yield (
            "everything was returned, but less than it costs is refunded",
            {"owed": owed, "refunded": refunded},
        )
    if any(one["status"] == "refund_failed" for one in order.returns):
        yield "a return is not refunded, although the provider has rejected no refund", {}


def _count_units(columns: Iterable[str | list[Row] | None]) -> Counter[str]:
    units: Counter[str] = Counter()
    for column in columns:
        for line in parse_parts(column):
            if line["line_id"] is not None:  # shipping
                units[line["line_id"]] += line["quantity"]
    return units
