"""What the carrier tells us without being asked."""

import time
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fuze_contracts.shipping import RefreshShipment
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import OF_A_BODY, problem_responses
from fuze_gateway.webhooks import is_genuine

router = APIRouter(tags=["webhooks"])

Signature = Annotated[str, Header(alias="Carrier-Signature", max_length=200)]


class _Event(BaseModel):
    """What we read of an event: its id, and what it is about. What it claims is not read."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "shipment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")
    shipment_id: UUID


@router.post(
    "/webhooks/carrier",
    operation_id="receiveCarrierWebhook",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(
        *OF_A_BODY, types.INVALID_SIGNATURE, types.WEBHOOKS_NOT_CONFIGURED, types.UNAVAILABLE
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _Event.model_json_schema()}},
        }
    },
)
async def receive(request: Request, signature: Signature, sources: SourcesDependency) -> None:
    """Take the carrier's hint that a parcel has come further; the carrier is then asked itself."""
    secret = sources.settings.carrier_webhook_secret
    if secret is None:
        raise problems.no_webhooks()
    body = await request.body()
    if not is_genuine(signature, body, secret.get_secret_value(), time.time()):
        raise problems.bad_signature()
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        raise problems.invalid_field(("body",), "must have an id and a shipment_id") from None
    await sources.commands.follow_parcel(event.id, RefreshShipment(shipment_id=event.shipment_id))
