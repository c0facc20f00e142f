"""Request and response models of payments and refunds. Amounts are in minor units."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.read_models import (
    Discrepancy,
    LedgerAccountName,
    PaymentStateName,
    RefundStateName,
)
from fuze_gateway.orders.schemas.commands import CommandRequest
from fuze_gateway.types import EXAMPLE_ORDER_ID, LongText, RequestModel, ShortText

_PAYMENT: JsonDict = {
    "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "state": "charged",
    "amount_minor": 5997,
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "provider_reference": "ch_0123456789",
    "decline_code": None,
    "refunded_minor": 1999,
    "created_at": "2026-01-05T10:01:00Z",
    "updated_at": "2026-01-05T10:01:01Z",
}
_REFUND: JsonDict = {
    "refund_id": "e4eaaaf2-d142-5b1f-b3a4-0a5f1b1f2c3d",
    "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "state": "refunded",
    "amount_minor": 1999,
    "currency": "USD",
    "lines": [{"line_id": "1", "quantity": 1, "amount_minor": 1999}],
    "reason": "one teapot was broken",
    "actor": "grace via shop",
    "provider_reference": "re_0123456789",
    "rejection_code": None,
    "created_at": "2026-01-09T08:00:00Z",
    "updated_at": "2026-01-09T08:00:01Z",
}
_CAPTURE: JsonDict = {
    "journal_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "account": "provider",
    "debit_minor": 5997,
    "credit_minor": 0,
    "currency": "USD",
    "recorded_at": "2026-01-05T10:01:01Z",
}
_SALE: JsonDict = _CAPTURE | {"account": "sales", "debit_minor": 0, "credit_minor": 5997}
_DISCREPANCY: JsonDict = {
    "kind": "unmatched_provider_charge",
    "reference": "ch_9876543210",
    "order_id": None,
    "occurred_at": "2026-01-05T10:01:00Z",
    "details": {"amount_minor": 100, "currency": "USD"},
    "first_seen_at": "2026-01-05T11:00:00Z",
    "last_seen_at": "2026-01-05T12:00:00Z",
}


_SELECTION = {"amount_minor", "lines", "include_shipping"}


class RefundLineRequest(RequestModel):
    """A quantity of one line."""

    line_id: Annotated[
        ShortText, Field(min_length=1, description="The `line_id` of the order's line.")
    ]
    quantity: int = Field(ge=1, le=1_000_000)


class RefundOrderRequest(CommandRequest):
    """What is refunded: an amount, lines with or without shipping, or else everything left."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"amount_minor": 1999, "reason": "one teapot was broken"},
                {"lines": [{"line_id": "1", "quantity": 1}], "include_shipping": True},
                {},
            ]
        }
    )

    amount_minor: int | None = Field(
        None, ge=1, le=MAX_AMOUNT_MINOR, description="In the currency of the payment."
    )
    lines: list[RefundLineRequest] = Field(default=[], max_length=200)
    include_shipping: bool = Field(default=False, description="Refund the shipping costs, too.")
    reason: Annotated[LongText, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_combination(self) -> "RefundOrderRequest":
        is_selected = bool(self.amount_minor or self.lines or self.include_shipping)
        if not is_selected and self.model_fields_set & _SELECTION:
            raise ValueError(
                "selects nothing; give an amount, lines or shipping, or leave all three out to"
                " refund everything that is left"
            )
        if self.amount_minor and (self.lines or self.include_shipping):
            raise ValueError("send either amount_minor, or lines and include_shipping, or neither")
        if len({line.line_id for line in self.lines}) < len(self.lines):
            raise ValueError("send each line_id of lines once")
        return self


class RefundLine(BaseModel):
    """What a refund contains of one line; `line_id` is null for shipping."""

    line_id: str | None
    quantity: int
    amount_minor: int


class RefundAcceptedResponse(BaseModel):
    """The amount is reserved and will be refunded. A repeated request has the same response."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": EXAMPLE_ORDER_ID,
                    "refund_id": _REFUND["refund_id"],
                    "amount_minor": 1999,
                    "currency": "USD",
                    "lines": _REFUND["lines"],
                    "payments_url": f"/orders/{EXAMPLE_ORDER_ID}/payments",
                }
            ]
        }
    )

    order_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str
    lines: list[RefundLine]
    payments_url: str


class Payment(BaseModel):
    """A charge. `refunded_minor` is the sum of completed and pending refunds."""

    payment_id: UUID
    state: PaymentStateName
    amount_minor: int
    currency: str
    payment_method: str | None
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    created_at: datetime
    updated_at: datetime


class Refund(BaseModel):
    """A refund in any state."""

    refund_id: UUID
    payment_id: UUID
    state: RefundStateName
    amount_minor: int
    currency: str
    lines: list[RefundLine]
    reason: str | None
    actor: str
    provider_reference: str | None
    rejection_code: str | None
    created_at: datetime
    updated_at: datetime


class ListPaymentsResponse(BaseModel):
    """The charges and refunds of the order, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"order_id": EXAMPLE_ORDER_ID, "payments": [_PAYMENT], "refunds": [_REFUND]}
            ]
        }
    )

    order_id: UUID
    payments: list[Payment]
    refunds: list[Refund]


class LedgerEntry(BaseModel):
    """A debit or a credit of an account; the other of the two is 0.

    `provider` is what the payment provider owes, `sales` what was sold. The two entries of a
    capture have its `payment_id` as `journal_id`, those of a refund the `refund_id`.
    """

    journal_id: UUID
    payment_id: UUID
    account: LedgerAccountName
    debit_minor: int
    credit_minor: int
    currency: str
    recorded_at: datetime


class ListLedgerEntriesResponse(BaseModel):
    """The ledger of the order's payments, oldest entry first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"order_id": EXAMPLE_ORDER_ID, "entries": [_CAPTURE, _SALE]}]
        }
    )

    order_id: UUID
    entries: list[LedgerEntry]


class ListDiscrepanciesResponse(BaseModel):
    """The open discrepancies of payments and orders, for an operator to resolve."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"discrepancies": [_DISCREPANCY]}]})

    discrepancies: list[Discrepancy]
