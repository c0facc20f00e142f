"""Settings of the order service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fuze_runtime.settings import Duration, WorkerSettings


class OrderSettings(WorkerSettings):
    """What the order worker needs."""

    max_order_totals: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {},
        description="The largest totals of an order, in minor units by currency. An order above is"
        " rejected before its approval.",
        examples=[{"USD": 1_000_000}],
    )
    order_reconcile_interval: Duration = Field(
        timedelta(minutes=5),
        description="How often orders are compared with Temporal, payments and shipments.",
    )
    order_reconcile_look_back: Duration = Field(
        timedelta(hours=1),
        description="How long before the last comparison ended orders are compared again.",
    )
    order_reconcile_idle: Duration = Field(
        timedelta(minutes=1), description="An order that changed within this time is left out."
    )
    order_task_failure_alert_after: Duration = Field(
        timedelta(minutes=5),
        description="How long an order's workflow task fails before the order needs attention.",
    )
