"""The invariant of outgoing webhooks: each event is delivered, in order, or waits with a reason."""

from collections import defaultdict
from collections.abc import Sequence

from fuze_chaos.snapshots.records import Findings, OrderRecords, Row

_SUCCESS = range(200, 300)
_PATH = "/webhooks"


def events_delivered(order: OrderRecords) -> Findings:
    """Compare the events of an order with what each endpoint has recorded."""
    received: dict[str, list[Row]] = defaultdict(list)
    for request in order.webhooks:
        received[request["endpoint_id"]].append(request)
    expected: dict[str, list[Row]] = defaultdict(list)
    for delivery in order.deliveries:
        expected[delivery["endpoint_id"]].append(delivery)
    for endpoint_id in dict.fromkeys((*expected, *received)):
        requests = received[endpoint_id]
        for description, evidence in (
            *_check_requests(order, requests),
            *_check_sequence(expected[endpoint_id], requests),
            *_check_deliveries(expected[endpoint_id], requests),
        ):
            yield description, {"endpoint": endpoint_id, **evidence}


def _check_requests(order: OrderRecords, requests: Sequence[Row]) -> Findings:
    committed = {event["seq"]: event["type"] for event in order.events}
    for request in requests:
        seq = request["seq"]
        if committed.get(seq) != request["type"]:
            yield "an event was sent that is not committed", {"seq": seq, "type": request["type"]}
        if not request["is_signed"]:
            yield "a webhook is not signed with the endpoint's secret", {"seq": seq}
        if request["path"] != _PATH:
            yield "a redirect was followed", {"seq": seq, "path": request["path"]}


def _check_sequence(expected: Sequence[Row], requests: Sequence[Row]) -> Findings:
    """Find events that an endpoint has accepted before an earlier one of the order."""
    accepted = list(dict.fromkeys(one["seq"] for one in requests if one["status"] in _SUCCESS))
    wanted = [one["seq"] for one in expected]
    if accepted != wanted[: len(accepted)]:
        yield "events were delivered out of order", {"accepted": accepted, "events": wanted}


def _check_deliveries(expected: Sequence[Row], requests: Sequence[Row]) -> Findings:
    kept = {one["seq"] for one in requests if one["status"] in _SUCCESS and not one["is_forgotten"]}
    is_waiting = False
    for delivery in expected:
        if delivery["seq"] in kept:
            continue
        problem = _find_problem(delivery, is_waiting=is_waiting)
        if problem is not None:
            yield problem, {"seq": delivery["seq"], "error": delivery["error"]}
        is_waiting = True


def _find_problem(delivery: Row, *, is_waiting: bool) -> str | None:
    """Return what is wrong with an event that the endpoint does not have; None if it may wait.

    `is_waiting` is whether an earlier event of the order waits: this one waits for it.
    """
    if delivery["state"] == "delivered":
        return "an event is recorded as delivered, and the endpoint does not have it"
    if not delivery["is_enabled"] or delivery["state"] == "failed":
        return None  # it needs attention
    if delivery["state"] is None:
        return "an event is not queued for an endpoint that is enabled"
    if delivery["is_scheduled"] or is_waiting:
        return None
    return "an event is neither delivered nor scheduled"
