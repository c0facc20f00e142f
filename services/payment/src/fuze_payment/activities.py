"""The payment service's activities, each named after the fact that it establishes.

Every one is safe to interrupt anywhere and to repeat.
"""

from typing import TYPE_CHECKING

from temporalio import activity

from fuze_contracts.payment import (
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
    VoidOutcome,
    VoidPayment,
)
from fuze_payment.domain import LATE_CAPTURE, Payment, PaymentState
from fuze_payment.messages import ComparePayments, ReconciliationResult
from fuze_runtime.heartbeats import heartbeats

if TYPE_CHECKING:  # workflows import this module, and must not reach HTTP or a database driver
    from fuze_payment.charge_service import ChargeService
    from fuze_payment.reconciliation import Reconciliation
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
        activity.logger.info("payment settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def payment_refunded(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, executing it if no attempt has yet."""
        outcome = await self._refunds.refund(command)
        activity.logger.info("refund settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def payment_voided(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that no money is kept under this token: never charged, or refunded in full."""
        outcome = await self._voids.void(command)
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


def _outcome(payment: Payment) -> ChargeOutcome:
    if payment.state is PaymentState.CHARGED and not payment.void_requested:
        return Charged(payment_id=payment.id, provider_reference=payment.provider_reference)
    return Declined(payment_id=payment.id, code=payment.decline_code or "voided")
