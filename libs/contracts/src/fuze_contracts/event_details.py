"""The `details` of an order's events: `DETAILS` has the type of each.

They describe what the order service writes, and its tests compare both. Fields are only added. An
erasure leaves numbers, codes and ids, and removes the rest.
"""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fuze_contracts.address import Address
from fuze_contracts.order_rules import Violation
from fuze_contracts.order_states import EventType
from fuze_contracts.refund_allocation import RefundedLine, RefundLine


class EventDetails(BaseModel):
    """What an event says beside the status."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Amount(EventDetails):
    amount_minor: int = Field(description="In minor units.")
    currency: str = Field(description="ISO 4217.")


class OrderReceived(EventDetails):
    """What was ordered, and the addresses as the caller spelt them. Amounts are in minor units."""

    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    tax_minor: int
    fee_minor: int
    total_minor: int
    currency: str = Field(description="ISO 4217.")
    address: Address | None = None
    billing_address: Address | None = None


class OrderRejected(EventDetails):
    """The rules that the order violates."""

    violations: tuple[Violation, ...] = Field(
        default=(), description="Absent where an approver rejected the order."
    )


class AddressChanged(EventDetails):
    """The new address, as the caller spelt it."""

    address: Address


class AddressChangeRejected(AddressChanged):
    """The new address, and the rules that it violates."""

    violations: tuple[Violation, ...]


class PaymentCharged(EventDetails):
    """The charge."""

    outcome: Literal["charged"]
    payment_id: UUID
    provider_reference: str | None = Field(description="Null for an amount of zero.")
    amount: str = Field(description="In major units, such as `19.99 USD`.")


class PaymentDeclined(EventDetails):
    """The charge that was declined."""

    code: str = Field(description="The provider's reason.")
    payment_token: str = Field(description="The idempotency key of this charge.")


class ShippingStarted(EventDetails):
    """The shipment that was requested."""

    workflow_id: str = Field(description="The id of its workflow in Temporal.")


class CarrierRejectedAddress(EventDetails):
    """The address to which the carrier does not deliver."""

    code: str = Field(description="The carrier's reason.")
    address: Address


class OrderShipped(EventDetails):
    """The parcel."""

    outcome: Literal["shipped"]
    shipment_id: UUID
    carrier: str
    tracking_number: str


class RefundProgress(_Amount):
    """A refund."""

    refund_id: UUID
    amount: str = Field(description="In major units, such as `19.99 USD`.")
    lines: tuple[RefundedLine, ...] = Field(default=(), description="Of a refund by lines.")
    reason: str | None = None


class PaymentRefunded(RefundProgress):
    """A refund that was executed."""

    outcome: Literal["refunded"] | None = Field(
        default=None, description="Where the order itself was cancelled or returned."
    )
    provider_reference: str | None = None


class RefundFailed(RefundProgress):
    """A refund that the provider rejected."""

    code: str = Field(description="The provider's reason.")


class NeedsAttention(EventDetails):
    """The step that keeps failing; of the step `refund`, the refund too."""

    step: str
    last_error: str | None = None
    refund_id: UUID | None = None
    amount: str | None = Field(default=None, description="In major units, such as `19.99 USD`.")
    amount_minor: int | None = Field(default=None, description="In minor units.")
    currency: str | None = Field(default=None, description="ISO 4217.")
    lines: tuple[RefundedLine, ...] = Field(default=(), description="Of a refund by lines.")
    reason: str | None = None


class ReturnProgress(EventDetails):
    """A return."""

    return_id: UUID
    reason: str | None = None


class ReturnRequested(ReturnProgress):
    """The lines that are to come back."""

    lines: tuple[RefundLine, ...]


class ReturnRefunded(ReturnProgress, _Amount):
    """A return and what was refunded for it."""


class ReturnRefundFailed(ReturnProgress):
    """A return whose refund was rejected."""

    code: str = Field(description="The provider's reason.")


DETAILS: dict[EventType, type[EventDetails]] = dict.fromkeys(EventType, EventDetails) | {
    EventType.ORDER_RECEIVED: OrderReceived,
    EventType.ORDER_REJECTED: OrderRejected,
    EventType.ADDRESS_CHANGED: AddressChanged,
    EventType.ADDRESS_CHANGE_REJECTED: AddressChangeRejected,
    EventType.PAYMENT_CHARGED: PaymentCharged,
    EventType.PAYMENT_DECLINED: PaymentDeclined,
    EventType.SHIPPING_STARTED: ShippingStarted,
    EventType.CARRIER_REJECTED_ADDRESS: CarrierRejectedAddress,
    EventType.ORDER_SHIPPED: OrderShipped,
    EventType.REFUND_REQUESTED: RefundProgress,
    EventType.PAYMENT_REFUNDED: PaymentRefunded,
    EventType.REFUND_FAILED: RefundFailed,
    EventType.RETURN_REQUESTED: ReturnRequested,
    EventType.RETURN_APPROVED: ReturnProgress,
    EventType.RETURN_REJECTED: ReturnProgress,
    EventType.RETURN_CANCELLED: ReturnProgress,
    EventType.RETURN_RECEIVED: ReturnProgress,
    EventType.RETURN_REFUNDED: ReturnRefunded,
    EventType.RETURN_REFUND_FAILED: ReturnRefundFailed,
    EventType.NEEDS_ATTENTION: NeedsAttention,
}
"""The type of each event's details; `EventDetails` where they are empty."""
