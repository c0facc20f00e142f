"""Checks a snapshot against every invariant: pass, fail, or unknown if a system was unreadable."""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from fuze_chaos.checker.invariants import ORDER_INVARIANTS, Invariant
from fuze_chaos.checker.results import CheckResult, Verdict, Violation
from fuze_chaos.snapshots.records import CLIENT, Snapshot

_COMPLETION = "I3"
_UNRESOLVED = "I10"
_RESPONSES = "I11"
_MAX_IDLE_IN_TRANSACTION_SECONDS = 10
_POOL_SIZE = 10
"""The default size of a service's connection pool, which a run does not change."""


def check(
    snapshot: Snapshot, *, logged_errors: list[str], late: frozenset[str] = frozenset()
) -> list[CheckResult]:
    """Check every invariant. An invariant with unreadable input is unknown, never a pass.

    `logged_errors` are the workers' log lines about non-determinism; `late` are the orders that
    missed their deadline, even if they completed after it.
    """
    results = [_check_orders(invariant, snapshot) for invariant in ORDER_INVARIANTS]
    more = {
        _COMPLETION: _late_orders(results, late),
        _UNRESOLVED: tuple(_check_system(snapshot, logged_errors)),
    }
    return [
        *(_add_violations(one, more.get(one.invariant, ())) for one in results),
        _check_responses(snapshot),
    ]


def _check_orders(invariant: Invariant, snapshot: Snapshot) -> CheckResult:
    violations = tuple(
        Violation(
            invariant=invariant.number,
            order_id=order.order_id,
            description=description,
            evidence=evidence,
        )
        for order in snapshot.orders.values()
        for description, evidence in invariant.check(order)
    )
    unreadable = tuple(
        f"{system}: {error}"
        for system, error in snapshot.unreadable.items()
        if system in invariant.reads
    )
    if invariant.number == _COMPLETION and not any(
        order.is_accepted for order in snapshot.orders.values()
    ):
        # Without an accepted order, nothing was proved.
        unreadable += (f"{CLIENT}: no order was accepted",)
    return CheckResult(
        invariant=invariant.number,
        slug=invariant.slug,
        title=invariant.title,
        # What an unreadable system makes look wrong is no violation.
        verdict=_verdict(() if unreadable else violations, unreadable),
        checked=len(snapshot.orders),
        violations=() if unreadable else violations,
        unreadable=unreadable,
    )


def _check_system(snapshot: Snapshot, logged_errors: list[str]) -> Iterator[Violation]:
    for workflow_id in snapshot.open_workflows:
        yield Violation(
            invariant=_UNRESOLVED, order_id=None, description=f"open workflow: {workflow_id}"
        )
    for one in snapshot.discrepancies:
        yield Violation(
            invariant=_UNRESOLVED,
            order_id=str(one["order_id"]) if one["order_id"] else None,
            description=f"unresolved discrepancy after reconciliation: {one['kind']}",
            evidence={"reference": one["reference"], "details": str(one["details"])},
        )
    for one in snapshot.connections:
        is_idle_in_transaction = str(one["state"]).startswith("idle in transaction")
        if is_idle_in_transaction and one["since_seconds"] > _MAX_IDLE_IN_TRANSACTION_SECONDS:
            yield Violation(
                invariant=_UNRESOLVED,
                order_id=None,
                description=f"{one['application_name']} left a transaction open",
                evidence={"query": one["query"]},
            )
    for name, count in Counter(one["application_name"] for one in snapshot.connections).items():
        if count > _POOL_SIZE:
            yield Violation(
                invariant=_UNRESOLVED,
                order_id=None,
                description=f"{name} holds {count} connections; its pool has {_POOL_SIZE}",
            )
    for line in logged_errors:
        yield Violation(
            invariant=_UNRESOLVED,
            order_id=None,
            description="a workflow was non-deterministic",
            evidence={"log": line},
        )


def _late_orders(results: list[CheckResult], late: frozenset[str]) -> tuple[Violation, ...]:
    known = {
        violation.order_id
        for one in results
        if one.invariant == _COMPLETION
        for violation in one.violations
    }
    return tuple(
        Violation(invariant=_COMPLETION, order_id=order_id, description="completed too late")
        for order_id in sorted(late - known)
    )


def _add_violations(result: CheckResult, more: tuple[Violation, ...]) -> CheckResult:
    violations = result.violations + (() if result.unreadable else more)
    return result.model_copy(
        update={"violations": violations, "verdict": _verdict(violations, result.unreadable)}
    )


def _check_responses(snapshot: Snapshot) -> CheckResult:
    violations = tuple(
        Violation(
            invariant=_RESPONSES,
            order_id=None,
            description=f"{request.operation} got {request.status}",
            evidence={"response": str(request.body), "at": request.at},
        )
        for request in snapshot.requests
        if request.status is not None
        and request.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        and not (request.status == HTTPStatus.SERVICE_UNAVAILABLE and request.retry_after)
    )
    unreadable = tuple(
        f"{system}: {error}" for system, error in snapshot.unreadable.items() if system == CLIENT
    )
    return CheckResult(
        invariant=_RESPONSES,
        slug="no-server-errors",
        title="No response is a server error, except 503 with Retry-After",
        verdict=_verdict(violations, unreadable),
        checked=len(snapshot.requests),
        violations=violations,
        unreadable=unreadable,
    )


def _verdict(violations: tuple[Violation, ...], unreadable: tuple[str, ...]) -> Verdict:
    if violations:
        return Verdict.FAIL
    return Verdict.UNKNOWN if unreadable else Verdict.PASS
