"""The workflows and activities of the floor: Fuze's topology on Temporal, without any work.

One order is five local activities, a remote one on the payment queue, and a child workflow on the
shipping queue with a local and a remote activity. All activities are empty.
"""

from datetime import timedelta

from temporalio import activity, workflow

ORDER_QUEUE, PAYMENT_QUEUE, SHIPPING_QUEUE = "floor-order", "floor-payment", "floor-shipping"

_TIMEOUT = timedelta(seconds=30)


@activity.defn
async def record_transition(order_id: str) -> None:
    """Stand for one transition in PostgreSQL."""


@activity.defn
async def charge_payment(order_id: str) -> None:
    """Stand for the charge at the payment provider."""


@activity.defn
async def prepare_shipment(order_id: str) -> None:
    """Stand for the shipment's row."""


@activity.defn
async def dispatch_shipment(order_id: str) -> None:
    """Stand for the request to the carrier."""


@workflow.defn
class FloorOrderWorkflow:
    """An order: received, validated, approved, charged, shipped."""

    def __init__(self) -> None:
        self._is_approved = False

    @workflow.signal
    def approve(self) -> None:
        """Approve the order."""
        self._is_approved = True

    @workflow.run
    async def run(self, order_id: str) -> None:
        """Return when the order is shipped."""
        await self._record(order_id)  # received
        await self._record(order_id)  # validated
        await workflow.wait_condition(lambda: self._is_approved, timeout=timedelta(days=7))
        await self._record(order_id)  # approved
        await workflow.execute_activity(
            charge_payment, order_id, task_queue=PAYMENT_QUEUE, start_to_close_timeout=_TIMEOUT
        )
        await self._record(order_id)  # charged, and the shipment may exist
        await workflow.execute_child_workflow(
            FloorShippingWorkflow.run,
            order_id,
            id=shipping_id(order_id),
            task_queue=SHIPPING_QUEUE,
        )
        await self._record(order_id)  # shipped

    async def _record(self, order_id: str) -> None:
        await workflow.execute_local_activity(
            record_transition, order_id, start_to_close_timeout=_TIMEOUT
        )


@workflow.defn
class FloorShippingWorkflow:
    """A shipment: prepared, dispatched."""

    @workflow.run
    async def run(self, order_id: str) -> None:
        """Return when the shipment is dispatched."""
        await workflow.execute_local_activity(
            prepare_shipment, order_id, start_to_close_timeout=_TIMEOUT
        )
        await workflow.execute_activity(
            dispatch_shipment, order_id, start_to_close_timeout=_TIMEOUT
        )


def order_workflow_id(order_id: str) -> str:
    """Return the workflow id of an order."""
    return f"floor-order/{order_id}"


def shipping_id(order_id: str) -> str:
    """Return the workflow id of an order's shipment."""
    return f"floor-shipping/{order_id}"
