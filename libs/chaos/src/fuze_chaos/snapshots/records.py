"""The records of a run: for each order, what every system of record has about it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue

Row = dict[str, Any]
Findings = Iterator[tuple[str, dict[str, JsonValue]]]
"""Violations of an invariant: the description and the evidence of each."""

POSTGRES = "PostgreSQL"
TEMPORAL = "Temporal"
PROVIDER = "payment provider"
CARRIER = "carrier"
CLIENT = "client log"
OPERATOR = "operator log"
ENDPOINTS = "webhook endpoints"
"""The systems of record. The last five are written by no service of Fuze."""


@dataclass
class WorkflowRecord:
    """A workflow's status in Temporal, and its result or failure type once it has closed.

    `shipment_id` is the shipment that a carrier's webhook is about.
    """

    status: str
    result: Row | None = None
    failure: str | None = None
    started_at: datetime | None = None
    closed_at: datetime | None = None
    shipment_id: str | None = None


@dataclass
class RequestRecord:
    """One request of the client, and its response if there was one."""

    operation: str
    at: float
    identity: str | None
    is_key_reuse: bool
    responded_at: float | None = None
    status: int | None = None
    retry_after: str | None = None
    body: Any = None

    @property
    def is_accepted(self) -> bool:
        """Whether the response was a success."""
        return self.status is not None and self.status < 300  # noqa: PLR2004 - 2xx


@dataclass
class OperatorAction:
    """What an operator did to an order's workflow or to its shipment's.

    `workflow` is `order` or `shipping`. An action that is not `is_accepted` may have had its effect
    nevertheless. `status` is the order's status after Temporal had accepted a cancellation.
    """

    fault: int
    at: float
    kind: str
    workflow: str
    details: str = ""
    excludes_messages: bool = False
    is_accepted: bool = False
    status: str | None = None


def parse_parts(column: str | list[Row] | None) -> list[Row]:
    """Return the parts in a column, which PostgreSQL's driver leaves as JSON; None has none."""
    parsed: list[Row] = json.loads(column) if isinstance(column, str) else column or []
    return parsed


@dataclass
class OrderRecords:
    """Everything that is recorded about one order.

    `discrepancies` are those that the order service's reconciliation has found, repaired or not.
    `deliveries` has a row for each event at each webhook endpoint that wants it, queued or not;
    `webhooks` are the requests that the endpoints have recorded.
    """

    order_id: str
    row: Row | None = None
    events: list[Row] = field(default_factory=list)
    returns: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    ledger: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    provider_charges: list[Row] = field(default_factory=list)
    provider_refunds: list[Row] = field(default_factory=list)
    parcels: list[Row] = field(default_factory=list)
    workflow: WorkflowRecord | None = None
    discrepancies: list[Row] = field(default_factory=list)
    carrier_webhooks: list[WorkflowRecord] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    webhooks: list[Row] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    operator_actions: list[OperatorAction] = field(default_factory=list)

    @property
    def is_accepted(self) -> bool:
        """Whether the client has received a success for placing the order."""
        return any(
            one.operation == "place" and one.is_accepted and not one.is_key_reuse
            for one in self.requests
        )

    @property
    def status(self) -> str | None:
        """The status in PostgreSQL."""
        return self.row["status"] if self.row else None

    def parts(self, name: str) -> list[Row]:
        """Return the order's `lines` or `adjustments`; a row without any has none."""
        return parse_parts((self.row or {}).get(name))

    def net_captured(self) -> int:
        """Return what the provider has captured and not refunded, in minor units."""
        captured: int = sum(
            one["amount_minor"] for one in self.provider_charges if one["status"] == "charged"
        )
        refunded: int = sum(one["amount_minor"] for one in self.provider_refunds)
        return captured - refunded


@dataclass
class Snapshot:
    """All records by order id; `unreadable` has the error of each system that could not be read."""

    orders: dict[str, OrderRecords]
    requests: list[RequestRecord]
    discrepancies: list[Row]
    open_workflows: list[str]
    connections: list[Row]
    unreadable: dict[str, str] = field(default_factory=dict)
