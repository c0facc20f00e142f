"""Looks at all the books with all the invariants, and says pass, fail or unknown of each."""

from collections import Counter
from collections.abc import Iterator

from fuze_chaos.books import Books
from fuze_chaos.invariants import OF_EACH_ORDER, Invariant
from fuze_chaos.outcome import Check, Verdict, Violation

_ENDS_IN_TIME = "I3"
_SERVER_ERROR = 500
_UNAVAILABLE = 503
_IDLE_TOO_LONG_SECONDS = 10
_POOL_SIZE = 10
"""What a service's pool may hold, where nobody says otherwise; a run does not."""


def check(books: Books, *, logged: list[str], late: frozenset[str] = frozenset()) -> list[Check]:
    """Look at everything; a check whose books could not be read is unknown, unless it fails.

    `logged` are the lines in which a worker says that its code and a history do not fit, `late` the
    orders that were not at their end in time, whether or not they came to it later.
    """
    checks = [_check_each(invariant, books) for invariant in OF_EACH_ORDER[:-1]]
    checks = [
        _with(one, _too_late(one, late)) if one.invariant == _ENDS_IN_TIME else one
        for one in checks
    ]
    hangs = _check_each(OF_EACH_ORDER[-1], books)
    whole = tuple(_of_the_whole(books, logged))
    checks.append(_with(hangs, whole))
    checks.append(_answers(books))
    return checks


def _check_each(invariant: Invariant, books: Books) -> Check:
    violations = [
        Violation(invariant=invariant.name, order_id=account.order_id, what=what, evidence=evidence)
        for account in books.accounts.values()
        for what, evidence in invariant.of_each(account)
    ]
    unread = tuple(
        f"{name}: {why}" for name, why in books.unread.items() if name in invariant.takes
    )
    if invariant.name == _ENDS_IN_TIME and not any(
        account.is_promised for account in books.accounts.values()
    ):
        # Where nothing was accepted, nothing has been proved.
        unread += ("the client: it knows of no order that was accepted",)
    return Check(
        invariant=invariant.name,
        title=invariant.title,
        # What a missing book makes look wrong is no violation.
        verdict=_verdict([] if unread else violations, unread),
        looked_at=len(books.accounts),
        violations=() if unread else tuple(violations),
        unread=unread,
    )


def _of_the_whole(books: Books, logged: list[str]) -> Iterator[Violation]:
    for workflow_id in books.open_workflows:
        yield Violation(
            invariant="I10", order_id=None, what="a workflow is still open: " + workflow_id
        )
    for one in books.discrepancies:
        yield Violation(
            invariant="I10",
            order_id=str(one["order_id"]) if one["order_id"] else None,
            what=f"reconciliation left a discrepancy: {one['kind']}",
            evidence={"reference": one["reference"], "details": str(one["details"])},
        )
    for backend in books.backends:
        in_transaction = str(backend["state"]).startswith("idle in transaction")
        if in_transaction and backend["since_seconds"] > _IDLE_TOO_LONG_SECONDS:
            yield Violation(
                invariant="I10",
                order_id=None,
                what=f"{backend['application_name']} left a transaction open",
                evidence={"query": backend["query"]},
            )
    for name, held in Counter(one["application_name"] for one in books.backends).items():
        if held > _POOL_SIZE:
            yield Violation(
                invariant="I10",
                order_id=None,
                what=f"{name} holds {held} connections, and its pool has {_POOL_SIZE}",
            )
    for line in logged:
        yield Violation(
            invariant="I10",
            order_id=None,
            what="a history and the code do not fit",
            evidence={"log": line},
        )


def _too_late(ends: Check, late: frozenset[str]) -> tuple[Violation, ...]:
    known = {one.order_id for one in ends.violations}
    return tuple(
        Violation(invariant=_ENDS_IN_TIME, order_id=order_id, what="has ended too late")
        for order_id in sorted(late - known)
    )


def _with(check: Check, more: tuple[Violation, ...]) -> Check:
    violations = check.violations + (() if check.unread else more)
    return check.model_copy(
        update={"violations": violations, "verdict": _verdict(list(violations), check.unread)}
    )


def _answers(books: Books) -> Check:
    violations = []
    for ask in books.asks:
        if ask.status is None or ask.status < _SERVER_ERROR:
            continue
        if ask.status == _UNAVAILABLE and ask.retry_after:
            continue
        violations.append(
            Violation(
                invariant="I11",
                order_id=None,
                what=f"{ask.what} was answered {ask.status}",
                evidence={"answer": str(ask.body), "at": ask.at},
            )
        )
    unread = tuple(f"{name}: {why}" for name, why in books.unread.items() if name == "the client")
    return Check(
        invariant="I11",
        title="No answer is a server error, but for 503 with Retry-After",
        verdict=_verdict(violations, unread),
        looked_at=len(books.asks),
        violations=tuple(violations),
        unread=unread,
    )


def _verdict(violations: list[Violation], unread: tuple[str, ...]) -> Verdict:
    if violations:
        return Verdict.FAIL
    return Verdict.UNKNOWN if unread else Verdict.PASS
