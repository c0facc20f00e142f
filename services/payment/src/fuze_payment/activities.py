"""The payment service's activities."""

from typing import TYPE_CHECKING

from temporalio import activity

from fuze_contracts.payment import (
    Charged,
    ChargeOutcome,
    ChargePayment,
    Declined,
    PaymentActivities,
    RefreshPayment,
    RefundOutcome,
    RefundPayment,
    VoidOutcome,
    VoidPayment,
)
from fuze_payment.messages import Reconcile, Reconciled
from fuze_payment.rules import Payment, PaymentState
from fuze_runtime.heartbeats import heartbeats

if TYPE_CHECKING:  # workflows import this module, and must not reach HTTP or a database driver
    from fuze_payment.charging import Charging
    from fuze_payment.reconciliation import Reconciliation
    from fuze_payment.refunding import Refunding


class ReconciliationActivities:
    """What ReconcileWorkflow has done."""

    def __init__(self, reconciliation: "Reconciliation") -> None:
        self._reconciliation = reconciliation

    @activity.defn
    async def reconcile(self, command: Reconcile) -> Reconciled:
        """Compare the provider's books with ours; safe to repeat."""
        async with heartbeats():
            found = await self._reconciliation.reconcile(command)
        activity.logger.info("books compared", extra={"outcome": found.model_dump()})
        return found


class PaymentWebhookActivities:
    """What PaymentWebhookWorkflow has done."""

    def __init__(self, charging: "Charging", refunding: "Refunding") -> None:
        self._charging = charging
        self._refunding = refunding

    @activity.defn
    async def payment_refreshed(self, command: RefreshPayment) -> str:
        """Ask the provider about a payment that it reviews; return the state that it is in then."""
        payment = await self._charging.refresh(command.payment_id)
        if payment is None:
            return "unknown here"
        if payment.void_requested:
            await self._refunding.give_back_all(payment, "let go of before it was taken")
        activity.logger.info("the provider's hint is followed", extra={"outcome": payment.state})
        return payment.state


class Payments(PaymentActivities):
    """What the payment task queue runs; each may be cut anywhere and repeated."""

    def __init__(self, charging: "Charging", refunding: "Refunding") -> None:
        self._charging = charging
        self._refunding = refunding

    @activity.defn
    async def payment_charged(self, command: ChargePayment) -> ChargeOutcome:
        """Return the one outcome of this token, charging the provider if nobody has yet."""
        payment = await self._charging.charge(command)
        if payment.void_requested:
            await self._refunding.give_back_all(payment, "let go of before it was taken")
        outcome = _outcome(payment)
        activity.logger.info("payment settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def payment_refunded(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, asking the provider if nobody has yet."""
        outcome = await self._refunding.refund(command)
        activity.logger.info("refund settled", extra={"outcome": outcome.outcome})
        return outcome

    @activity.defn
    async def payment_voided(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that nothing is kept under this token: never charged, or refunded in full."""
        outcome = await self._refunding.void(command)
        activity.logger.info("payment let go of", extra={"outcome": outcome.outcome})
        return outcome


def _outcome(payment: Payment) -> ChargeOutcome:
    if payment.state is PaymentState.CHARGED and not payment.void_requested:
        return Charged(payment_id=payment.id, provider_reference=payment.provider_reference)
    return Declined(payment_id=payment.id, code=payment.decline_code or "voided")
