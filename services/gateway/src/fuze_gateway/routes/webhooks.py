"""What providers tell us without being asked."""

import time
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
)

from fuze_contracts.payment import RefreshPayment
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import OF_A_BODY, problem_responses
from fuze_gateway.webhooks import is_genuine

router = APIRouter(tags=["webhooks"])

Signature = Annotated[str, Header(alias="PSP-Signature", max_length=200)]
StripeSignature = Annotated[str, Header(alias="Stripe-Signature", max_length=1000)]

_EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]

_DECIDED_BY_STRIPE = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
}


class _Event(BaseModel):
    """What we read of an event: its id, and whom it is about. What it claims is not read."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: _EventId
    payment_id: UUID


class _StripeMetadata(BaseModel):
    payment_id: UUID | None = None

    @field_validator("payment_id", mode="before")
    @classmethod
    def _only_ours(cls, value: JsonValue) -> UUID | None:
        """Take what is no id of ours for none: the account may have other users."""
        try:
            return UUID(str(value))
        except ValueError:
            return None


class _StripeObject(BaseModel):
    metadata: _StripeMetadata | None = None


class _StripeData(BaseModel):
    object: _StripeObject


class _StripeEvent(BaseModel):
    """The same of an event of Stripe's, and its type."""

    id: _EventId
    type: str
    data: _StripeData | None = None

    @property
    def payment_id(self) -> UUID | None:
        """The payment that it is about, if it is one of ours and was decided."""
        metadata = self.data.object.metadata if self.data else None
        return metadata.payment_id if metadata and self.type in _DECIDED_BY_STRIPE else None


def _body_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Document a body that the route reads itself, since the signature is over its bytes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/webhooks/psp",
    operation_id="receivePspWebhook",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(
        *OF_A_BODY, types.INVALID_SIGNATURE, types.WEBHOOKS_NOT_CONFIGURED, types.UNAVAILABLE
    ),
    openapi_extra=_body_of(_Event.model_json_schema()),
)
async def receive(request: Request, signature: Signature, sources: SourcesDependency) -> None:
    """Take the provider's hint that a payment was decided; an event that came before is ignored.

    The provider is then asked itself. A webhook that is lost costs time only: held payments are
    looked at again in any case.
    """
    body = await _genuine(request, signature, sources.settings.psp_webhook_secret)
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        raise problems.invalid_field(("body",), "must have an id and a payment_id") from None
    await sources.commands.follow_up(event.id, RefreshPayment(payment_id=event.payment_id))


@router.post(
    "/webhooks/stripe",
    operation_id="receiveStripeWebhook",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(
        *OF_A_BODY, types.INVALID_SIGNATURE, types.WEBHOOKS_NOT_CONFIGURED, types.UNAVAILABLE
    ),
    openapi_extra=_body_of(
        {
            "title": "Stripe's event",
            "type": "object",
            "examples": [{"id": "evt_1", "type": "charge.updated"}],
        }
    ),
)
async def receive_from_stripe(
    request: Request, signature: StripeSignature, sources: SourcesDependency
) -> None:
    """Take Stripe's hint that a payment was decided, as above.

    An event of another type, or about nothing of ours, is acknowledged and ignored: otherwise
    Stripe would send it again for days.
    """
    body = await _genuine(request, signature, sources.settings.stripe_webhook_secret)
    try:
        event = _StripeEvent.model_validate_json(body)
    except ValidationError:
        raise problems.invalid_field(("body",), "must be an event of Stripe's") from None
    if event.payment_id:
        await sources.commands.follow_up(event.id, RefreshPayment(payment_id=event.payment_id))


async def _genuine(request: Request, signature: str, secret: SecretStr | None) -> bytes:
    if secret is None:
        raise problems.no_webhooks()
    body = await request.body()
    if not is_genuine(signature, body, secret.get_secret_value(), time.time()):
        raise problems.bad_signature()
    return body
