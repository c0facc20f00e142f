"""Webhooks start a workflow that reads the current state from the sender, one at a time per object.

However many events are forged with a stolen secret, each object has one workflow in flight. An
event that arrives while it runs starts no other: the workflow may have read the state before, and
then the next event, or the poll, brings the change.
"""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from fuze_contracts.payment import PAYMENT_TASK_QUEUE, PaymentWebhookWorkflow, RefreshPayment
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE, CarrierWebhookWorkflow, RefreshShipment
from fuze_contracts.workflow_ids import carrier_webhook_workflow_id, payment_webhook_workflow_id
from fuze_gateway.upstreams import start_once


class WebhookCommands:
    """Starts of webhook workflows; `UpstreamUnavailableError` when Temporal is unavailable."""

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def start_payment_webhook(self, command: RefreshPayment) -> None:
        """Refresh a payment, unless it is being refreshed already."""
        start = self._client.start_workflow(
            PaymentWebhookWorkflow.run,
            command,
            id=payment_webhook_workflow_id(command.payment_id),
            task_queue=PAYMENT_TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="refresh a payment after a webhook",
            rpc_timeout=self._timeout,
        )
        await start_once(start, self._timeout)

    async def start_carrier_webhook(self, command: RefreshShipment) -> None:
        """Refresh a shipment, which the command names, unless it is being refreshed already."""
        start = self._client.start_workflow(
            CarrierWebhookWorkflow.run,
            command,
            id=carrier_webhook_workflow_id(command.shipment_id or command.carrier_reference or ""),
            task_queue=SHIPPING_TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="refresh a shipment after a webhook",
            rpc_timeout=self._timeout,
        )
        await start_once(start, self._timeout)
