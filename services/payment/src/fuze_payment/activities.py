"""The payment service's activities, each named after the fact that it establishes.

Every one is safe to interrupt anywhere and to repeat.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    Charged,
    ChargeOutcome,
    ChargePayment,
    Declined,
    KeptCharges,
    ListKeptCharges,
    PaymentActivities,
    RefreshPayment,
    RefundOutcome,
    RefundPayment,
    RefundWorkflow,
    ReserveRefundOutcome,
    VoidOutcome,
    VoidPayment,
)
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_payment.domain import LATE_CAPTURE, Payment, PaymentState
from fuze_payment.messages import ComparePayments, ReconciliationResult, ResumeRefunds
from fuze_runtime.heartbeats import heartbeats

if TYPE_CHECKING:  # workflows import this module, and must not reach HTTP or a database driver
    from fuze_payment.charge_service import ChargeService
    from fuze_payment.reconciliation import Reconciliation
    from fuze_payment.refund_repository import RefundRepository
    from fuze_payment.refund_service import RefundService
    from fuze_payment.void_service import VoidService


class PaymentActivitiesImpl(PaymentActivities):
    """The activities that other services call."""

    def __init__(
        self, charges: "ChargeService", refunds: "RefundService", voids: "VoidService"
    ) -> None:
        self._charges = charges
        self._refunds = refunds
        self._voids = voids

    @activity.defn
    async def payment_charged(self, command: ChargePayment) -> ChargeOutcome:
        """Return the one outcome of this token, charging it if no attempt has yet."""
        payment = await self._charges.charge(command)
        if payment.void_requested:
            await self._refunds.refund_remaining(payment, LATE_CAPTURE)
        outcome = _outcome(payment)
        _count("fuze_charges_total", "Charges by their outcome", outcome.outcome)
        activity.logger.info("payment settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def refund_reserved(self, command: RefundPayment) -> ReserveRefundOutcome:
        """Return the one decision about this refund, reserving its amount if it has none yet."""
        decision = await self._refunds.reserve(command)
        activity.logger.info("refund decided", extra={"outcome": decision.outcome})
        return decision

    @activity.defn
    async def payment_refunded(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, executing it if no attempt has yet."""
        outcome = await self._refunds.refund(command)
        _count("fuze_refunds_total", "Refunds by their outcome", outcome.outcome)
        activity.logger.info("refund settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def payment_voided(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that no money is kept under this token: never charged, or refunded in full."""
        outcome = await self._voids.void(command)
        _count("fuze_voids_total", "Voids by their outcome", outcome.outcome)
        activity.logger.info("payment voided", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def kept_charges_listed(self, command: ListKeptCharges) -> KeptCharges:
        """Return the orders' charges of which money is kept."""
        return KeptCharges(charges=tuple(await self._charges.list_kept(command.order_ids)))


class PaymentWebhookActivities:
    """The activities of PaymentWebhookWorkflow."""

    def __init__(self, charges: "ChargeService", refunds: "RefundService") -> None:
        self._charges = charges
        self._refunds = refunds

    @activity.defn
    async def payment_refreshed(self, command: RefreshPayment) -> str:
        """Look up a payment that is under review; return its state, or `not_found`."""
        payment = await self._charges.refresh(command.payment_id)
        if payment is None:
            return "not_found"
        if payment.void_requested:
            await self._refunds.refund_remaining(payment, LATE_CAPTURE)
        activity.logger.info("payment refreshed", extra={"outcome": payment.state})
        return payment.state


class RefundReportActivities:
    """The activities that make sure that an order has each of its refunds as events."""

    def __init__(self, refunds: "RefundRepository") -> None:
        self._refunds = refunds

    @activity.defn
    async def refund_reported(self, refund_id: UUID) -> None:
        """Record that the refund's order has the outcome as an event."""
        await self._refunds.mark_reported(refund_id)

    @activity.defn
    async def refunds_resumed(self, command: ResumeRefunds) -> int:
        """Start the workflow of each refund that is not reported; return how many there are.

        Its workflow may have been terminated or deleted. One that runs is left alone.
        """
        unreported = await self._refunds.list_unreported(command.idle_for)
        for refund in unreported:
            await activity.client().start_workflow(
                RefundWorkflow.run,
                RefundPayment(
                    order_id=refund.order_id,
                    payment_token=refund.payment_token,
                    refund_id=refund.id,
                    amount=refund.amount,
                    reason=refund.reason,
                    actor=refund.actor,
                    fingerprint=refund.fingerprint,
                ),
                id=refund_workflow_id(refund.order_id, refund.id),
                task_queue=PAYMENT_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"refund {refund.amount}",
            )
        activity.logger.info("refunds resumed", extra={"outcome": len(unreported)})
        return len(unreported)


class ReconciliationActivities:
    """The activities of ReconcilePaymentsWorkflow."""

    def __init__(self, reconciliation: "Reconciliation") -> None:
        self._reconciliation = reconciliation

    @activity.defn
    async def payments_reconciled(self, command: ComparePayments) -> ReconciliationResult:
        """Compare the provider's records with ours, and repair what they decide."""
        async with heartbeats():
            result = await self._reconciliation.reconcile(command)
        activity.logger.info("payments reconciled", extra={"outcome": result.model_dump()})
        return result


def _count(name: str, description: str, outcome: str) -> None:
    if activity.in_activity():  # the meter is that of the worker
        activity.metric_meter().create_counter(name, description).add(1, {"outcome": outcome})


def _outcome(payment: Payment) -> ChargeOutcome:
    if payment.state is PaymentState.CHARGED and not payment.void_requested:
        return Charged(payment_id=payment.id, provider_reference=payment.provider_reference)
    return Declined(payment_id=payment.id, code=payment.decline_code or "voided")
