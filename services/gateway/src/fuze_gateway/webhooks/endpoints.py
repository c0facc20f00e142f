"""Endpoints of webhooks: of every payment provider, of every carrier.

A webhook is a hint: the workflow that it starts reads the state from the sender itself. A lost
webhook costs time only, because payments under review and deliveries are polled in any case.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, SecretStr, ValidationError

from fuze_contracts.payment import RefreshPayment
from fuze_contracts.shipping import RefreshShipment
from fuze_gateway.app_services import AppServices, ServicesDependency
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import BODY_PROBLEMS, problem_responses
from fuze_gateway.rate_limiter import get_client_network
from fuze_gateway.webhooks.schemas import CarrierEvent, EasyPostEvent
from fuze_gateway.webhooks.signatures import is_carrier_webhook, is_easypost_webhook
from fuze_psp.registry import WEBHOOKS, WebhookSettings
from fuze_psp.webhooks import Webhook, WebhookRejection

router = APIRouter(tags=["webhooks"])

CarrierSignature = Annotated[str, Header(alias="Carrier-Signature", max_length=200)]
EasyPostSignature = Annotated[str, Header(alias="X-Hmac-Signature", max_length=200)]

_log = structlog.get_logger(__name__)

EventT = TypeVar("EventT", bound=BaseModel)

_RESPONSES = problem_responses(
    *BODY_PROBLEMS,
    registry.INVALID_SIGNATURE,
    registry.WEBHOOKS_NOT_CONFIGURED,
    registry.RATE_LIMIT_EXCEEDED,
    registry.UNAVAILABLE,
)


def _request_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Document a body that the endpoint reads itself, because the signature covers its bytes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _add_payment_webhook(webhook: Webhook[WebhookSettings]) -> None:
    header = {
        "name": webhook.signature_header,
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
    }

    @router.post(
        f"/webhooks/{webhook.name}",
        operation_id=f"receive{webhook.name.title()}Webhook",
        summary=f"Receive a webhook of {webhook.sender}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=_RESPONSES,
        openapi_extra={"parameters": [header]} | _request_body(webhook.body_schema),
    )
    async def receive(request: Request, services: ServicesDependency) -> None:
        """Receive the event that a payment was charged or declined.

        An event of a payment that is being looked up is acknowledged. Other events, and events of
        other users of the provider's account, are acknowledged and ignored: otherwise the provider
        would retry them for days.
        """
        secret = webhook.secret(services.settings)
        if secret is None:
            raise errors.Problem(registry.WEBHOOKS_NOT_CONFIGURED)
        signature = request.headers.get(webhook.signature_header, "")
        event = webhook.read(await request.body(), signature, secret)
        if event is WebhookRejection.INVALID_SIGNATURE:
            raise await _reject_signature(request, services)
        await _limit_rate(webhook.name, services)
        if event is WebhookRejection.INVALID_BODY:
            raise errors.invalid_field(("body",), "must be an event of the provider")
        if event.payment_id:
            command = RefreshPayment(payment_id=event.payment_id)
            _log.info("webhook received", event_id=event.event_id, payment_id=str(event.payment_id))
            await services.webhook_commands.start_payment_webhook(command)


for _webhook in WEBHOOKS:
    _add_payment_webhook(_webhook)


@router.post(
    "/webhooks/carrier",
    operation_id="receiveCarrierWebhook",
    summary="Receive a webhook of the sandbox carrier",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_RESPONSES,
    openapi_extra=_request_body(CarrierEvent.model_json_schema()),
)
async def receive_carrier_webhook(
    request: Request, signature: CarrierSignature, services: ServicesDependency
) -> None:
    """Receive the event that the delivery status changed.

    An event of a shipment whose status is being read is acknowledged.
    """
    secret = services.settings.carrier_webhook_secret
    body = await _read_verified(request, services, secret, partial(is_carrier_webhook, signature))
    await _limit_rate("carrier", services)
    event = _parse(body, CarrierEvent, "must have an id and a shipment_id")
    command = RefreshShipment(shipment_id=event.shipment_id)
    _log.info("webhook received", event_id=event.id, shipment_id=str(event.shipment_id))
    await services.webhook_commands.start_carrier_webhook(command)


@router.post(
    "/webhooks/easypost",
    operation_id="receiveEasypostWebhook",
    summary="Receive a webhook of EasyPost",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_RESPONSES,
    openapi_extra=_request_body(EasyPostEvent.model_json_schema()),
)
async def receive_easypost_webhook(
    request: Request, signature: EasyPostSignature, services: ServicesDependency
) -> None:
    """Receive the event that the delivery status of a shipment changed.

    Other events of the account are acknowledged and ignored.
    """
    secret = services.settings.easypost_webhook_secret
    body = await _read_verified(request, services, secret, partial(is_easypost_webhook, signature))
    await _limit_rate("easypost", services)
    event = _parse(body, EasyPostEvent, "must be an event of EasyPost")
    if event.shipment_id:
        command = RefreshShipment(carrier_reference=event.shipment_id)
        _log.info("webhook received", event_id=event.id, carrier_reference=event.shipment_id)
        await services.webhook_commands.start_carrier_webhook(command)


async def _read_verified(
    request: Request,
    services: AppServices,
    secret: SecretStr | None,
    is_genuine: Callable[[bytes, SecretStr], bool],
) -> bytes:
    """Return the body.

    Raises:
        Problem: the sender is not configured, or the signature is invalid.

    """
    if secret is None:
        raise errors.Problem(registry.WEBHOOKS_NOT_CONFIGURED)
    body = await request.body()
    if not is_genuine(body, secret):
        raise await _reject_signature(request, services)
    return body


async def _reject_signature(request: Request, services: AppServices) -> errors.Problem:
    """Count and log an invalid signature, and return its problem."""
    address = get_client_network(request.scope.get("client"))
    if exceeded := await services.failure_limiter.hit(address):
        return errors.too_many_failures(exceeded)
    _log.warning("webhook signature invalid", client=address, path=request.url.path)
    return errors.Problem(registry.INVALID_SIGNATURE)


async def _limit_rate(sender: str, services: AppServices) -> None:
    """Count a webhook with a valid signature: forged ones do not use up the limit.

    Raises:
        Problem: the sender exceeds its limit, and should send the event again later.

    """
    if exceeded := await services.webhook_limiter.hit(sender):
        raise errors.rate_limit_exceeded(exceeded)


def _parse(body: bytes, model: type[EventT], message: str) -> EventT:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise errors.invalid_field(("body",), message) from None
