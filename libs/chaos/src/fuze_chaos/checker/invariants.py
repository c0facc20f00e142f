"""The table of invariants that the checker verifies for every order."""

from collections.abc import Callable
from dataclasses import dataclass

from fuze_chaos.checker import (
    order_invariants,
    payment_invariants,
    refund_invariants,
    return_invariants,
    webhook_invariants,
)
from fuze_chaos.snapshots.records import (
    CARRIER,
    CLIENT,
    ENDPOINTS,
    OPERATOR,
    POSTGRES,
    PROVIDER,
    TEMPORAL,
    Findings,
    OrderRecords,
)


@dataclass(frozen=True)
class Invariant:
    """An invariant of each order: its number, slug and title, what it reads, and its check."""

    number: str
    slug: str
    title: str
    reads: frozenset[str]
    check: Callable[[OrderRecords], Findings]


ORDER_INVARIANTS = (
    Invariant(
        "I1",
        "single-charge",
        "At most one live charge per order; exactly one if the order is paid",
        frozenset({POSTGRES, PROVIDER}),
        payment_invariants.single_charge,
    ),
    Invariant(
        "I2",
        "ledger-matches-provider",
        "Ledger = provider; refunded ≤ captured; debits = credits",
        frozenset({POSTGRES, PROVIDER}),
        payment_invariants.ledger_matches_provider,
    ),
    Invariant(
        "I3",
        "accepted-order-completes",
        "Every accepted order is in Temporal and PostgreSQL, and completes in time",
        frozenset({POSTGRES, TEMPORAL, CLIENT, OPERATOR}),
        order_invariants.accepted_order_completes,
    ),
    Invariant(
        "I4",
        "captured-before-dispatch",
        "No order is dispatched before its total is captured",
        frozenset({POSTGRES, CARRIER}),
        payment_invariants.captured_before_dispatch,
    ),
    Invariant(
        "I5",
        "full-compensation",
        "Cancelled, rejected, expired, declined or returned: net captured amount 0",
        frozenset({POSTGRES, PROVIDER, CARRIER, TEMPORAL}),
        payment_invariants.full_compensation,
    ),
    Invariant(
        "I6",
        "single-parcel",
        "At most one parcel per order; none after an accepted cancellation or rejection",
        frozenset({POSTGRES, CARRIER, CLIENT, OPERATOR}),
        order_invariants.single_parcel,
    ),
    Invariant(
        "I7",
        "events-match-row",
        "Events are numbered 1 to n, are legal transitions, and lead to the order's row",
        frozenset({POSTGRES}),
        order_invariants.events_match_row,
    ),
    Invariant(
        "I8",
        "view-matches-workflow",
        "The published view equals the workflow's result",
        frozenset({POSTGRES, TEMPORAL, OPERATOR}),
        order_invariants.view_matches_workflow,
    ),
    Invariant(
        "I9",
        "idempotent-responses",
        "The same idempotency key gets the same response",
        frozenset({CLIENT}),
        order_invariants.idempotent_responses,
    ),
    Invariant(
        "I10",
        "nothing-unresolved",
        "No open workflow, unresolved payment, discrepancy or leaked connection",
        frozenset({POSTGRES, TEMPORAL}),
        order_invariants.nothing_unresolved,
    ),
    Invariant(
        "I12",
        "refunds-match-order",
        "Every accepted refund is executed once, is two events, and shows in payment_status",
        frozenset({POSTGRES, PROVIDER, CLIENT}),
        refund_invariants.refunds_match_order,
    ),
    Invariant(
        "I13",
        "returns-match-order",
        "Every accepted return ends, is refunded once, and never with more units than ordered",
        frozenset({POSTGRES, CLIENT}),
        return_invariants.returns_match_order,
    ),
    Invariant(
        "I14",
        "events-delivered",
        "Every event reaches every webhook endpoint in order, or waits with a reason",
        frozenset({POSTGRES, ENDPOINTS}),
        webhook_invariants.events_delivered,
    ),
)
