"""Refunds: started as workflows of the payment service, once per idempotency key."""

import hashlib
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from fuze_contracts.money import Money
from fuze_contracts.payment import PAYMENT_TASK_QUEUE, RefundPayment, RefundWorkflow
from fuze_contracts.read_models import PublishedPayment
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_gateway.auth.principals import Principal
from fuze_gateway.payments.schemas import RefundOrderRequest
from fuze_gateway.upstreams import start_once

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/refunds")


def build_refund(
    payment: PublishedPayment,
    idempotency_key: str,
    request: RefundOrderRequest,
    principal: Principal,
) -> RefundPayment:
    """Return the workflow input of a refund. Its id is derived from the order and the key."""
    order_id = payment.order_id
    return RefundPayment(
        order_id=order_id,
        payment_token=payment.payment_token,
        refund_id=uuid5(_NAMESPACE, f"{order_id}/{idempotency_key}"),
        amount=Money(amount_minor=request.amount_minor, currency=payment.currency),
        reason=request.reason,
        actor=principal.actor_name(request.actor),
    )


def get_fingerprint(refund: RefundPayment) -> str:
    """Return a digest of a refund, which distinguishes a replay from a reused key."""
    return hashlib.sha256(refund.model_dump_json().encode()).hexdigest()


class RefundCommands:
    """Starts of refund workflows; `UpstreamUnavailableError` when Temporal is unavailable."""

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def start(self, refund: RefundPayment) -> bool:
        """Start the refund; return False if its id was used before."""
        start = self._client.start_workflow(
            RefundWorkflow.run,
            refund,
            id=refund_workflow_id(refund.order_id, refund.refund_id),
            task_queue=PAYMENT_TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            memo={"fingerprint": get_fingerprint(refund)},
            static_summary=f"refund {refund.amount}",
            static_details=f"requested by `{refund.actor}`",
            rpc_timeout=self._timeout,
        )
        return await start_once(start, self._timeout)
