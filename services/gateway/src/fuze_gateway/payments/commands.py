"""Refunds: decided by the payment service while the caller waits, once per idempotency key."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from fuze_contracts.money import Money
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    RefundPayment,
    RefundWorkflow,
    ReserveRefundOutcome,
)
from fuze_contracts.read_models import PublishedPayment
from fuze_contracts.refund_allocation import RefundLine, divide_order
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_gateway.auth.principals import Principal
from fuze_gateway.payments.schemas import RefundOrderRequest
from fuze_gateway.upstreams import UpstreamUnavailableError, temporal_timeout

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/refunds")
_UPDATE_ID = "reserve"
"""The same for every request, so that repeated ones wait for one update."""


def get_refund_id(order_id: UUID, idempotency_key: str) -> UUID:
    """Return the id of the refund that a key names; it is derived from the order and the key."""
    return uuid5(_NAMESPACE, f"{order_id}/{idempotency_key}")


def get_fingerprint(request: RefundOrderRequest, actor: str) -> str:
    """Return a digest of a request, which distinguishes a replay from a reused key."""
    content = request.model_dump_json(exclude={"actor"}, exclude_defaults=True)
    return hashlib.sha256(f"{actor}\0{content}".encode()).hexdigest()


def build_refund(  # noqa: PLR0913, PLR0917 - each part of the message comes from elsewhere
    order: Mapping[str, Any],
    payment: PublishedPayment,
    refund_id: UUID,
    request: RefundOrderRequest,
    principal: Principal,
    step_failure_alert_after: timedelta,
) -> RefundPayment:
    """Return the workflow input of a refund of a published order."""
    is_by_lines = bool(request.lines or request.include_shipping)
    actor = principal.actor_name(request.actor)
    return RefundPayment(
        order_id=payment.order_id,
        payment_token=payment.payment_token,
        refund_id=refund_id,
        amount=Money(amount_minor=request.amount_minor, currency=payment.currency)
        if request.amount_minor
        else None,
        lines=tuple(RefundLine.model_validate(line.model_dump()) for line in request.lines),
        include_shipping=request.include_shipping,
        shares=divide_order(order["lines"], order.get("adjustments", ())) if is_by_lines else None,
        reason=request.reason,
        actor=actor,
        fingerprint=get_fingerprint(request, actor),
        step_failure_alert_after=step_failure_alert_after,
    )


class RefundCommands:
    """Starts of refund workflows; `UpstreamUnavailableError` when Temporal is unavailable."""

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def reserve(self, refund: RefundPayment) -> ReserveRefundOutcome:
        """Start the refund, or find it, and return what the payment service decided.

        Raises:
            UpstreamUnavailableError: Temporal or the payment service did not answer in time. The
                refund may be decided later; a repeat with the same id returns that decision.

        """
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            refund,
            id=refund_workflow_id(refund.order_id, refund.refund_id),
            task_queue=PAYMENT_TASK_QUEUE,
            # Another run finds the decision in the refund's row.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"refund {refund.amount or 'of lines, or of what is left'}",
            static_details=f"requested by `{refund.actor}`",
        )
        try:
            async with temporal_timeout(self._timeout):
                return await self._client.execute_update_with_start_workflow(
                    RefundWorkflow.reserve,
                    start_workflow_operation=start,
                    id=_UPDATE_ID,
                    rpc_timeout=self._timeout,
                )
        except (WorkflowUpdateFailedError, RPCError) as error:
            # An operator ended the workflow meanwhile; or the namespace does not exist.
            raise UpstreamUnavailableError("temporal", timed_out=False) from error
