"""The workflow that erases a customer's personal data from every service."""

from datetime import timedelta

from temporalio import workflow

from fuze_contracts.erasure import ErasePersonalData, ErasureActivities
from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE
from fuze_contracts.webhooks import WEBHOOKS_TASK_QUEUE
from fuze_order.erasure import OrderErasureActivities
from fuze_order.messages import CustomerErased, DeleteHistories, EraseCustomer
from fuze_order.service_calls import ATTEMPT_TIMEOUT, RETRIES

_BATCH_SIZE = 100
_DELETION_TIMEOUT = timedelta(minutes=10)
_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
_QUEUES = (
    *(WEBHOOKS_TASK_QUEUE, SHIPPING_TASK_QUEUE, PAYMENT_TASK_QUEUE, ORDER_TASK_QUEUE),
    WEBHOOKS_TASK_QUEUE,
)
"""The orders after the others: an erasure that was terminated is repeated, and finds them by the
customer. The webhooks again after the orders: an attempt in between has sent the event as it was.
"""


@workflow.defn
class EraseCustomerWorkflow:
    """Erase a customer's orders in all services; each step is retried until it succeeds.

    Fails with `CUSTOMER_HAS_OPEN_ORDERS`, before anything is erased.
    """

    @workflow.run
    async def run(self, command: EraseCustomer) -> CustomerErased:
        """Return how many orders were erased."""
        found = await workflow.execute_activity_method(
            OrderErasureActivities.customer_orders_found,
            command,
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            retry_policy=RETRIES,
            summary="find the customer's orders",
        )
        for start in range(0, len(found.order_ids), _BATCH_SIZE):
            batch = found.order_ids[start : start + _BATCH_SIZE]
            erasure = ErasePersonalData(
                order_ids=batch,
                names=found.names,
                pseudonym=f"erased-{str(command.erasure_id)[:8]}",
            )
            # Histories before the rows: by these the orders are found again.
            await workflow.execute_activity_method(
                OrderErasureActivities.histories_deleted,
                DeleteHistories(order_ids=batch),
                start_to_close_timeout=_DELETION_TIMEOUT,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                retry_policy=RETRIES,
                summary="delete closed histories",
            )
            for queue in _QUEUES:
                await workflow.execute_activity_method(
                    ErasureActivities.personal_data_erased,
                    erasure,
                    task_queue=queue,
                    start_to_close_timeout=ATTEMPT_TIMEOUT,
                    retry_policy=RETRIES,
                    summary=f"erase personal data: {queue}",
                )
        return CustomerErased(orders=len(found.order_ids))
