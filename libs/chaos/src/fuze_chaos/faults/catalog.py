"""The catalog of faults: every kind, its targets, its duration, and what it does.

Faults run in four lanes that do not wait for each other, so that faults overlap most of the time:
one lane hits the stack's own processes, one the network and the external providers, one the
receivers of webhooks, and in one an operator changes workflows and activities in Temporal.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

SERVICES = ("order", "payment", "shipping", "webhooks", "gateway")
PROCESSES = (*SERVICES, "postgres", "temporal", "sandbox")
PROXIED_CONNECTIONS = (
    *(f"{client}->{server}" for client in SERVICES for server in ("postgres", "temporal")),
    "payment->sandbox",
    "shipping->sandbox",
    "sandbox->gateway",
    "client->gateway",
)
"""Client and server of each proxied connection."""

ENDPOINTS = {
    "endpoint-1": (),
    "endpoint-2": (
        *("order_received", "payment_charged", "payment_refunded"),
        *("order_shipped", "order_cancelled", "order_delivered"),
    ),
}
"""The webhook endpoints of a run, and their types of events; none are all."""

STEPS = (
    *(
        f"order@{event}"
        for event in (
            "order_received",
            "order_validated",
            "order_approved",
            "payment_charged",
            "shipping_started",
            "order_shipped",
            "cancellation_started",
            "payment_refunded",
        )
    ),
    "payment@before_write",
    "payment@after_write",
    "shipping@before_write",
    "shipping@after_write",
    "gateway@order_received",
)
"""Step boundaries at which a process can be hit.

`order@payment_charged` is the moment after that event was committed; `payment@before_write` the one
before the provider has recorded the request, `after_write` before the provider responds.
"""

_PROVIDER_CALLS = tuple(step for step in STEPS if step.endswith("_write"))
_STEPS_OF_ORDERS = ("order", *(step for step in STEPS if step.startswith(("order@", "payment@"))))
_STEPS_OF_SHIPMENTS = ("shipping", *(step for step in STEPS if step.startswith("shipping@")))
_STEPS_OF_WORKFLOWS = (*_STEPS_OF_ORDERS, *_STEPS_OF_SHIPMENTS)
_WITH_ACTIVITY = (
    "order",
    "order@order_approved",
    "order@cancellation_started",
    "shipping",
    *_PROVIDER_CALLS,
)
"""Targets of operators: `order` and `shipping` are a running workflow at random, `order@<event>`
the order that has just committed this event, `payment@<breakpoint>` an order whose charge or refund
waits at the provider, `shipping@<breakpoint>` a shipment whose dispatch waits at the carrier.
"""


class Lane(StrEnum):
    """Faults of one lane run one after another; the lanes run concurrently."""

    PROCESSES = "processes"
    EXTERNAL = "external"
    ENDPOINTS = "endpoints"
    OPERATORS = "operators"


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault: possible targets, shortest and longest duration in seconds, what it does.

    `first_round` are its targets in the first round of its lane; if empty, one is drawn.
    """

    name: str
    description: str
    lane: Lane
    targets: tuple[str, ...]
    duration: tuple[float, float]
    first_round: tuple[str, ...] = ()


_PSP_AND_CARRIER = ("psp", "carrier")
_ENDPOINTS = tuple(ENDPOINTS)

FAULT_KINDS = (
    FaultKind("kill", "SIGKILL, then restart", Lane.PROCESSES, PROCESSES, (0, 3), PROCESSES),
    FaultKind("pause", "SIGSTOP, then SIGCONT", Lane.PROCESSES, PROCESSES, (2, 6), SERVICES),
    FaultKind(
        "graceful-restart", "SIGTERM, then restart", Lane.PROCESSES, SERVICES, (0, 0.5), SERVICES
    ),
    FaultKind(
        "kill-at-step",
        "SIGKILL at a step boundary, then restart",
        Lane.PROCESSES,
        STEPS,
        (0, 2),
        ("order@payment_charged", "payment@before_write", "shipping@after_write"),
    ),
    FaultKind(
        "pause-at-step", "SIGSTOP at a step boundary, then SIGCONT", Lane.PROCESSES, STEPS, (1, 5)
    ),
    FaultKind("clock-skew", "the clock is one hour ahead", Lane.PROCESSES, SERVICES, (4, 7)),
    FaultKind("table-lock", "the events table is locked", Lane.PROCESSES, ("postgres",), (3, 7)),
    FaultKind(
        "connection-exhaustion", "every connection is taken", Lane.PROCESSES, ("postgres",), (3, 6)
    ),
    FaultKind("disk-full", "file writes fail", Lane.PROCESSES, ("postgres",), (2, 4)),
    FaultKind(
        "migrate", "a column is added, then dropped", Lane.PROCESSES, ("order", "payment"), (1, 3)
    ),
    FaultKind(
        "reset", "connections are reset and refused", Lane.EXTERNAL, PROXIED_CONNECTIONS, (1, 5)
    ),
    FaultKind(
        "blackhole", "bytes are dropped silently", Lane.EXTERNAL, PROXIED_CONNECTIONS, (3, 8)
    ),
    FaultKind(
        "latency", "every byte is delayed by 0.5 s", Lane.EXTERNAL, PROXIED_CONNECTIONS, (4, 8)
    ),
    FaultKind(
        "drop-response",
        "requests arrive, responses are lost",
        Lane.EXTERNAL,
        PROXIED_CONNECTIONS,
        (1, 3),
    ),
    FaultKind("outage", "every request gets 503", Lane.EXTERNAL, _PSP_AND_CARRIER, (5, 15)),
    FaultKind(
        "flaky",
        "lost responses, delayed commits, 500, 429",
        Lane.EXTERNAL,
        _PSP_AND_CARRIER,
        (6, 12),
    ),
    FaultKind("slow", "responses take 2 s", Lane.EXTERNAL, _PSP_AND_CARRIER, (5, 10)),
    FaultKind(
        "duplicate-requests",
        "50 identical requests at once",
        Lane.EXTERNAL,
        ("gateway",),
        (0, 0),
    ),
    FaultKind("endpoint-kill", "SIGKILL, then restart", Lane.ENDPOINTS, _ENDPOINTS, (0, 4)),
    FaultKind("endpoint-hang", "no response", Lane.ENDPOINTS, _ENDPOINTS, (3, 8)),
    FaultKind(
        "endpoint-lie",
        "500 or a redirect after recording, 200 with garbage or slowly, no HTTP",
        Lane.ENDPOINTS,
        _ENDPOINTS,
        (4, 8),
    ),
    FaultKind(
        "endpoint-forget",
        "messages are accepted and lost, then redelivered",
        Lane.ENDPOINTS,
        _ENDPOINTS,
        (2, 5),
    ),
    FaultKind("endpoint-gone", "410, then enabled again", Lane.ENDPOINTS, _ENDPOINTS, (2, 4)),
    FaultKind(
        "operator-reset",
        "a workflow is reset to its first or last task",
        Lane.OPERATORS,
        _STEPS_OF_WORKFLOWS,
        (0, 1),
        ("order", "order@order_approved", "payment@after_write", "shipping@before_write"),
    ),
    FaultKind(
        "operator-reset-and-cancel",
        "an order is reset to its first task, then cancelled",
        Lane.OPERATORS,
        _STEPS_OF_WORKFLOWS,
        (0, 1),
        ("payment@after_write", "shipping@before_write"),
    ),
    FaultKind(
        "operator-cancel",
        "up to four order workflows are cancelled",
        Lane.OPERATORS,
        _STEPS_OF_ORDERS,
        (0, 1),
        ("order", "order@order_approved", "payment@before_write"),
    ),
    FaultKind(
        "operator-pause",
        "an activity is paused, then unpaused",
        Lane.OPERATORS,
        _WITH_ACTIVITY,
        (2, 6),
        ("payment@before_write", "shipping@after_write"),
    ),
    FaultKind(
        "operator-complete",
        "an activity is failed or completed wrongly",
        Lane.OPERATORS,
        _WITH_ACTIVITY,
        (1, 3),
        ("payment@before_write", "payment@after_write", "shipping@before_write"),
    ),
    FaultKind(
        "operator-terminate",
        "a workflow is terminated, then recovered",
        Lane.OPERATORS,
        _STEPS_OF_WORKFLOWS,
        (1, 4),
        ("order", "order@order_approved", "payment@after_write", "shipping"),
    ),
    FaultKind(
        "operator-delete",
        "a workflow is deleted, then recovered",
        Lane.OPERATORS,
        _STEPS_OF_WORKFLOWS,
        (1, 4),
        ("order", "order@order_approved", "payment@after_write", "shipping"),
    ),
)
FAULT_NAMES = tuple(kind.name for kind in FAULT_KINDS)


class ScheduledFault(BaseModel):
    """One fault of a seed's schedule; `at` and `duration` are in seconds.

    `target` is a process, a provider, a webhook endpoint, a step boundary, or a connection
    `payment->postgres`.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    kind: str
    target: str
    at: float
    duration: float

    @property
    def needs_order(self) -> bool:
        """Whether it waits for an order: at a step, or for an operator to act on."""
        return "@" in self.target or self.kind.startswith("operator-")


class InjectedFault(BaseModel):
    """One fault as it was injected; moments in seconds from the start of the run.

    `error` says why it could not be injected. `recovery_event` is the first event after its end
    that proves the target works again, `recovered_after` the seconds until then; both are None if
    there was no such event.
    """

    model_config = ConfigDict(frozen=True)

    scheduled: ScheduledFault
    started: float
    ended: float
    note: str | None = None
    error: str | None = None
    recovery_event: str | None = None
    recovered_after: float | None = None


class FaultError(Exception):
    """A fault could not be injected, for example because its step did not occur in time."""


def format_kinds(names: frozenset[str]) -> str:
    """Return kinds in the form that `--faults` accepts."""
    if names == set(FAULT_NAMES):
        return "all"
    return ",".join(name for name in FAULT_NAMES if name in names) or "none"
