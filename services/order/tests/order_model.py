"""A small reference model of an order, to compare the real one with."""

from fuze_contracts.order import (
    ADDRESS_INVALID,
    ALREADY_APPROVED,
    ALREADY_CANCELLED,
    NOT_AWAITING_APPROVAL,
    NOT_AWAITING_PAYMENT_METHOD,
    NOTHING_TO_RETRY,
    TOO_LATE_TO_CANCEL,
    TOO_LATE_TO_CHANGE_ADDRESS,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus

ENDED = "ended"

_WAITING_STATUSES = {
    OrderStatus.AWAITING_APPROVAL,
    OrderStatus.AWAITING_PAYMENT_METHOD,
    OrderStatus.AWAITING_ADDRESS,
}


class OrderModel:
    """An order's expected status and events, and the expected outcome of each command.

    A command returns the expected error type from the contracts, `ended`, or None for success.
    """

    def __init__(
        self,
        address: str,
        *,
        tracks: bool,
        charge_reaches_provider: bool = True,
        requires_shipping: bool = True,
    ) -> None:
        self.status = OrderStatus.AWAITING_APPROVAL
        self.payment_status = PaymentStatus.NONE
        self.events = ["order_received"]
        self.is_dispatched = False
        self.is_invalid = address == "invalid"
        self.voids = 0
        self.needs_attention = False
        self.is_cancelled_by_temporal = False
        self._tracks = tracks
        self._charge_reaches_provider = charge_reaches_provider
        self._requires_shipping = requires_shipping
        self._address = address
        self._approved = False
        if self.is_invalid:
            self._enter("order_rejected", OrderStatus.REJECTED)
        else:
            self.events.append("order_validated")

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return len(self.events)

    @property
    def has_ended(self) -> bool:
        """Whether the workflow has ended."""
        return self.status.is_terminal and not self.is_tracking

    @property
    def is_tracking(self) -> bool:
        """Whether the order tracks its delivery."""
        return self._tracks and self.status is OrderStatus.SHIPPED

    @property
    def is_waiting(self) -> bool:
        """Whether the order waits until a deadline."""
        return self.status in _WAITING_STATUSES or self.is_tracking

    @property
    def is_charge_lost(self) -> bool:
        """Whether a void finds now that nothing was charged."""
        return self.status is OrderStatus.APPROVED and not self._charge_reaches_provider

    def approve(self, channel: str) -> str | None:
        if self.has_ended:
            return ENDED
        if self._approved:
            return ALREADY_APPROVED
        del channel
        self._approved = True
        self._enter("order_approved", OrderStatus.APPROVED, PaymentStatus.PENDING)
        return None

    def reject(self) -> str | None:
        if self.has_ended:
            return ENDED
        if self.status is not OrderStatus.AWAITING_APPROVAL:
            return NOT_AWAITING_APPROVAL
        self._enter("order_rejected", OrderStatus.REJECTED)
        return None

    def cancel(self) -> str | None:
        match self.status:
            case _ if self.has_ended:
                return ENDED
            case OrderStatus.SHIPPED:
                return TOO_LATE_TO_CANCEL
            case OrderStatus.CANCELLING:
                return ALREADY_CANCELLED
            case OrderStatus.AWAITING_APPROVAL | OrderStatus.AWAITING_PAYMENT_METHOD:
                self._enter("order_cancelled", OrderStatus.CANCELLED)
            case _:
                self._compensate()
        return None

    def cancel_through_temporal(self) -> None:
        if self.cancel() is None:
            self.is_cancelled_by_temporal = True

    def retry(self) -> str | None:
        if self.has_ended:
            return ENDED
        if not self.needs_attention:
            return NOTHING_TO_RETRY
        self._enter("retry_requested", self.status)
        return None

    def change_order_address(self, address: str, channel: str) -> str | None:
        if self.has_ended:
            return ENDED
        if self.is_dispatched:
            return TOO_LATE_TO_CHANGE_ADDRESS
        del channel
        return self._apply_address(address)

    def change_payment_method(self) -> str | None:
        if self.has_ended:
            return ENDED
        if self.status is not OrderStatus.AWAITING_PAYMENT_METHOD:
            return NOT_AWAITING_PAYMENT_METHOD
        self._enter("payment_method_changed", OrderStatus.APPROVED, PaymentStatus.PENDING)
        return None

    def provider_answers(self, *, declines: bool) -> None:
        if declines:
            self._enter(
                "payment_declined", OrderStatus.AWAITING_PAYMENT_METHOD, PaymentStatus.DECLINED
            )
        else:
            self._enter("payment_charged", OrderStatus.PAID, PaymentStatus.CHARGED)
        if not declines and self._requires_shipping:
            self._enter("shipping_started", OrderStatus.PREPARING)
        elif not declines:
            self._enter("order_completed", OrderStatus.COMPLETED)

    def provider_fails(self) -> None:
        self._enter("needs_attention", self.status)
        self.needs_attention = True

    def parcel_is_delivered(self) -> None:
        self._enter("order_delivered", OrderStatus.DELIVERED)

    def parcel_is_returned(self) -> None:
        self.voids += 1
        self._enter("order_returned", OrderStatus.RETURNED, PaymentStatus.REFUNDING)
        self._enter("payment_refunded", OrderStatus.RETURNED, PaymentStatus.REFUNDED)

    def carrier_answers(self) -> None:
        if self._address == "rejected":
            self._enter("carrier_rejected_address", OrderStatus.AWAITING_ADDRESS)
        else:
            self.is_dispatched = True
            self._enter("order_shipped", OrderStatus.SHIPPED)

    def deadline_passes(self) -> None:
        match self.status:
            case OrderStatus.AWAITING_APPROVAL:
                self._enter("order_expired", OrderStatus.EXPIRED)
            case OrderStatus.AWAITING_PAYMENT_METHOD:
                self._enter("payment_abandoned", OrderStatus.PAYMENT_DECLINED)
            case OrderStatus.SHIPPED:
                self._tracks = False
            case _:
                self._compensate()

    def _apply_address(self, address: str) -> str | None:
        if address == "invalid":
            self.events.append("address_change_rejected")
            return ADDRESS_INVALID
        self._address = address
        self.events.append("address_changed")
        if self.status is OrderStatus.AWAITING_ADDRESS:
            self._enter("shipping_started", OrderStatus.PREPARING)
        return None

    def _compensate(self) -> None:
        self.voids += 1
        lost = self.is_charge_lost
        self._enter("cancellation_started", OrderStatus.CANCELLING, PaymentStatus.REFUNDING)
        if lost:
            self._enter("payment_voided", OrderStatus.CANCELLING, PaymentStatus.NONE)
        else:
            self._enter("payment_refunded", OrderStatus.CANCELLING, PaymentStatus.REFUNDED)
        self._enter("order_cancelled", OrderStatus.CANCELLED)

    def _enter(
        self, event: str, status: OrderStatus, payment_status: PaymentStatus | None = None
    ) -> None:
        self.events.append(event)
        self.status = status
        self.needs_attention = False
        self.payment_status = payment_status or self.payment_status
