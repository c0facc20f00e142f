"""What is sent to the API. A field that is not set is left out of the request."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fuze_client.enumerations import (
    AdjustmentKind,
    EventType,
    OrderStatus,
    WebhookDeliveryState,
)


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AddressRequest(_Request):
    """An address; which fields it needs depends on its country and on the gateway."""

    country: str = "US"
    name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    zip_code: str | None = None
    phone: str | None = None
    email: str | None = None


class CompleteAddressRequest(AddressRequest):
    """An address that replaces another one, or of an invoice."""

    country: str


class OrderLineRequest(_Request):
    """A line of a new order: `quantity * unit_price_minor - discount_minor + tax_minor`."""

    sku: str
    quantity: int
    unit_price_minor: int
    line_id: str | None = None
    name: str | None = None
    discount_minor: int = 0
    tax_minor: int = 0
    requires_shipping: bool = True


class AdjustmentRequest(_Request):
    """A discount, shipping cost, tax or fee of the whole order, as a positive amount."""

    kind: AdjustmentKind
    label: str
    amount_minor: int


class PlaceOrderRequest(_Request):
    """A new order. `total_minor` is what is expected: the API rejects another sum."""

    address: AddressRequest | None = None
    billing_address: CompleteAddressRequest | None = None
    reference: str | None = None
    customer: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    lines: Sequence[OrderLineRequest] = ()
    adjustments: Sequence[AdjustmentRequest] = ()
    total_minor: int | None = None
    currency: str = "USD"
    payment_method: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    payment_token: str | None = None


class LineQuantity(_Request):
    """Units of a line, to refund or to return."""

    line_id: str
    quantity: int


class OrderFilters(TypedDict, total=False):
    """What a list of orders is limited to, and its order."""

    status: Sequence[OrderStatus]
    waiting_for: Literal["approval", "payment_method", "address"] | None
    needs_attention: bool | None
    customer: str | None
    reference: str | None
    created_from: datetime | None
    created_before: datetime | None
    updated_from: datetime | None
    updated_before: datetime | None
    q: str | None
    sort: Literal["-created_at", "created_at", "-updated_at", "updated_at"]


class WebhookDeliveryFilters(TypedDict, total=False):
    """What a list of deliveries is limited to."""

    state: WebhookDeliveryState | None
    event_type: EventType | None
    order_id: UUID | str | None
    created_from: datetime | None
    created_before: datetime | None
