"""What callers send and are told about money, as JSON. All amounts are in minor units."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.views import Discrepancy
from fuze_gateway.fields import Name
from fuze_gateway.schemas import RequestModel


class RefundOrder(RequestModel):
    """How much to give back, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount_minor": 1999, "reason": "one teapot was broken"}]}
    )

    amount_minor: int = Field(ge=1, le=MAX_AMOUNT_MINOR)
    reason: Name


class RefundAccepted(BaseModel):
    """The refund will be carried out; the same for a repeat of the same request."""

    order_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str
    payments_url: str


class Payment(BaseModel):
    """One attempt to charge. `refunded_minor` is given back, or about to be."""

    payment_id: UUID
    state: str
    amount_minor: int
    currency: str
    payment_method: str | None
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    created_at: datetime
    updated_at: datetime


class Refund(BaseModel):
    """One refund, whatever has become of it."""

    refund_id: UUID
    payment_id: UUID
    state: str
    amount_minor: int
    currency: str
    reason: str
    provider_reference: str | None
    refusal_code: str | None
    created_at: datetime
    updated_at: datetime


class Payments(BaseModel):
    """Everything about the order's money, oldest first."""

    order_id: UUID
    payments: list[Payment]
    refunds: list[Refund]


class Discrepancies(BaseModel):
    """What a person should look at."""

    discrepancies: list[Discrepancy]
