"""Response models of an order's status: the row in PostgreSQL and the running workflow."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_gateway.orders.schemas.addresses import Address
from fuze_gateway.orders.schemas.order_lines import OrderTotals
from fuze_gateway.orders.schemas.orders import Event, example
from fuze_gateway.types import EXAMPLE_ORDER_ID


class DurableUnavailable(StrEnum):
    """Why the durable status is absent."""

    NOT_RECORDED = "not_recorded"
    DATABASE_UNAVAILABLE = "database_unavailable"
    TIMEOUT = "timeout"


class LiveUnavailable(StrEnum):
    """Why the live status is absent or incomplete."""

    WORKFLOW_CLOSED = "workflow_closed"
    WORKFLOW_NOT_FOUND = "workflow_not_found"
    NO_WORKER = "no_worker"
    WORKFLOW_TASK_FAILING = "workflow_task_failing"
    TEMPORAL_UNAVAILABLE = "temporal_unavailable"
    TIMEOUT = "timeout"


class DurableOrder(OrderTotals):
    """The order in PostgreSQL. Amounts are in minor units."""

    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    tracking_number: str | None
    last_seq: int
    reference: str | None
    customer: str | None
    currency: str
    address: Address | None
    created_at: datetime
    updated_at: datetime
    last_event: Event


Execution = Literal[
    "running",
    "completed",
    "failed",
    "canceled",
    "terminated",
    "continued_as_new",
    "timed_out",
]
"""The status of the workflow execution in Temporal."""


ActivityState = Literal["scheduled", "backing_off", "started", "paused", "cancel_requested"]


class PendingActivity(BaseModel):
    """An activity that Temporal is executing or retrying, and its last failure.

    It is `scheduled` until a worker starts it, `backing_off` until its next attempt, and `paused`
    until an operator resumes it.
    """

    name: str
    state: ActivityState
    attempt: int
    last_failure: str | None = None
    next_attempt_at: datetime | None = None


class LiveOrder(BaseModel):
    """The order in its workflow.

    If no worker responds, or the workflow's code fails, only `execution` and `pending_activities`
    are known and `status` is null.
    """

    execution: Execution
    pending_activities: list[PendingActivity] = []
    status: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    last_seq: int | None = None
    status_since: datetime | None = None
    waiting_for: WaitingFor | None = None
    deadline: datetime | None = None
    last_error: str | None = None
    reason: str | None = None
    tracking_number: str | None = None
    needs_attention: bool = False


class OrderStatusResponse(BaseModel):
    """The order's status, merged from its row and its workflow; the newer of the two wins.

    `status` is null only if the workflow closed without a row, which requires an operator.
    """

    model_config = example(
        order_id=EXAMPLE_ORDER_ID,
        status="awaiting_approval",
        payment_status="none",
        waiting_for="approval",
        deadline="2026-01-12T10:00:00Z",
        needs_attention=False,
        durable=None,
        live={
            "execution": "running",
            "status": "awaiting_approval",
            "payment_status": "none",
            "last_seq": 2,
            "status_since": "2026-01-05T10:00:00Z",
            "waiting_for": "approval",
            "deadline": "2026-01-12T10:00:00Z",
        },
        unavailable={"durable": "database_unavailable"},
    )

    order_id: UUID
    status: OrderStatus | None
    payment_status: PaymentStatus | None
    reason: str | None = None
    waiting_for: WaitingFor | None = Field(None, description="The input or step it waits for.")
    deadline: datetime | None = Field(None, description="When the wait ends.")
    tracking_number: str | None = None
    needs_attention: bool = Field(False, description="Whether a step of the order is failing.")
    durable: DurableOrder | None
    live: LiveOrder | None
    unavailable: dict[Literal["durable", "live"], DurableUnavailable | LiveUnavailable] = Field(
        description="Why a part is absent or incomplete.",
        examples=[{"live": "workflow_closed"}],
    )
