"""The events in webhooks. Only ids are read; the state is then read from the sender itself."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

_PAYMENT_OUTCOMES = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
}

EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class SandboxPaymentEvent(BaseModel):
    """An event of the sandbox payment provider."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: EventId
    payment_id: UUID


class CarrierEvent(BaseModel):
    """An event of the carrier."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "shipment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: EventId
    shipment_id: UUID


class _StripeMetadata(BaseModel):
    payment_id: UUID | None = None

    @field_validator("payment_id", mode="before")
    @classmethod
    def _ignore_foreign_ids(cls, value: JsonValue) -> UUID | None:
        """Return None for an id that is not a UUID: the Stripe account may have other users."""
        try:
            return UUID(str(value))
        except ValueError:
            return None


class _StripeObject(BaseModel):
    metadata: _StripeMetadata | None = None


class _StripeData(BaseModel):
    object: _StripeObject


class StripeEvent(BaseModel):
    """An event of Stripe."""

    id: EventId
    type: str
    data: _StripeData | None = None

    @property
    def payment_id(self) -> UUID | None:
        """The payment whose outcome the event reports, if it is one of ours."""
        metadata = self.data.object.metadata if self.data else None
        return metadata.payment_id if metadata and self.type in _PAYMENT_OUTCOMES else None
