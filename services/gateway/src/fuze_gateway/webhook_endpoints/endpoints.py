"""Endpoints of webhook endpoints: what is sent where, and what was delivered."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from fuze_contracts.webhooks import validate_webhook_url
from fuze_gateway.app_services import AppServices, ServicesDependency, require_json
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.order_search import InvalidCursorError
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, BODY_PROBLEMS, problem_responses
from fuze_gateway.types import WebhookEndpointId
from fuze_gateway.webhook_endpoints.commands import EndpointDisabledError, TooManyEndpointsError
from fuze_gateway.webhook_endpoints.schemas import (
    ChangeWebhookEndpointRequest,
    CreateWebhookEndpointRequest,
    CreateWebhookEndpointResponse,
    ListWebhookDeliveriesRequest,
    ListWebhookDeliveriesResponse,
    ListWebhookEndpointsResponse,
    RedeliverWebhooksRequest,
    RedeliverWebhooksResponse,
    RotateWebhookSecretRequest,
    RotateWebhookSecretResponse,
    SendTestWebhookResponse,
    WebhookDelivery,
    WebhookEndpoint,
)

router = APIRouter(route_class=ScopedRoute, prefix="/webhook-endpoints", tags=["webhook endpoints"])

_ID_PROBLEMS = (registry.INVALID_REQUEST, registry.WEBHOOK_ENDPOINT_NOT_FOUND, registry.UNAVAILABLE)


@router.post(
    "",
    operation_id="createWebhookEndpoint",
    summary="Create a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_MANAGE),
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(
        *AUTH_PROBLEMS, *BODY_PROBLEMS, registry.TOO_MANY_WEBHOOK_ENDPOINTS, registry.UNAVAILABLE
    ),
)
async def create_webhook_endpoint(
    request: CreateWebhookEndpointRequest, services: ServicesDependency
) -> CreateWebhookEndpointResponse:
    """Create an endpoint, which receives the events of all orders from now on.

    The response contains the secret that signs its messages, which cannot be read again.
    """
    _validate_url(request.url, services)
    try:
        record, secret = await services.webhook_endpoint_commands.create(
            url=request.url,
            event_types=[kind.value for kind in request.event_types],
            description=request.description,
            is_enabled=request.enabled,
        )
    except TooManyEndpointsError:
        raise Problem(registry.TOO_MANY_WEBHOOK_ENDPOINTS) from None
    return CreateWebhookEndpointResponse.from_record(record, secret=secret)


@router.get(
    "",
    operation_id="listWebhookEndpoints",
    summary="List webhook endpoints",
    openapi_extra=requires(Scope.WEBHOOKS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.UNAVAILABLE),
)
async def list_webhook_endpoints(services: ServicesDependency) -> ListWebhookEndpointsResponse:
    """List every endpoint, without secrets."""
    records = await services.webhook_endpoints.list_endpoints()
    found = [WebhookEndpoint.from_record(record) for record in records]
    return ListWebhookEndpointsResponse(webhook_endpoints=found)


@router.get(
    "/{endpoint_id}",
    operation_id="getWebhookEndpoint",
    summary="Get a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, *_ID_PROBLEMS),
)
async def get_webhook_endpoint(
    endpoint_id: WebhookEndpointId, services: ServicesDependency
) -> WebhookEndpoint:
    """Get an endpoint, without its secret."""
    record = await services.webhook_endpoints.get_endpoint(endpoint_id)
    if record is None:
        raise _not_found(endpoint_id)
    return WebhookEndpoint.from_record(record)


@router.patch(
    "/{endpoint_id}",
    operation_id="changeWebhookEndpoint",
    summary="Change a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_MANAGE),
    dependencies=[Depends(require_json)],
    responses=problem_responses(*AUTH_PROBLEMS, *BODY_PROBLEMS, *_ID_PROBLEMS),
)
async def change_webhook_endpoint(
    endpoint_id: WebhookEndpointId,
    request: ChangeWebhookEndpointRequest,
    services: ServicesDependency,
) -> WebhookEndpoint:
    """Change an endpoint. A field that is not sent stays as it is.

    Events wait while it is disabled. When it is enabled again, it gets all that it has not
    accepted, in order. Other event types apply to events that it was not sent yet.
    """
    if request.url is not None:
        _validate_url(request.url, services)
    record = await services.webhook_endpoint_commands.change(endpoint_id, request.to_changes())
    if record is None:
        raise _not_found(endpoint_id)
    return WebhookEndpoint.from_record(record)


@router.delete(
    "/{endpoint_id}",
    operation_id="deleteWebhookEndpoint",
    summary="Delete a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_MANAGE),
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(*AUTH_PROBLEMS, *_ID_PROBLEMS),
)
async def delete_webhook_endpoint(
    endpoint_id: WebhookEndpointId, services: ServicesDependency
) -> None:
    """Delete an endpoint with its deliveries. Attempts that have begun may still reach it."""
    if not await services.webhook_endpoint_commands.delete(endpoint_id):
        raise _not_found(endpoint_id)


@router.post(
    "/{endpoint_id}/rotate-secret",
    operation_id="rotateWebhookSecret",
    summary="Rotate the secret of a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_MANAGE),
    dependencies=[Depends(require_json)],
    responses=problem_responses(*AUTH_PROBLEMS, *BODY_PROBLEMS, *_ID_PROBLEMS),
)
async def rotate_webhook_secret(
    endpoint_id: WebhookEndpointId,
    request: RotateWebhookSecretRequest,
    services: ServicesDependency,
) -> RotateWebhookSecretResponse:
    """Create another secret, which cannot be read again.

    During the overlap each message has a signature of both secrets, so that the receiver can
    change its own at any moment. A secret that was replaced earlier expires at once.
    """
    rotated = await services.webhook_endpoint_commands.rotate_secret(endpoint_id, request.overlap)
    if rotated is None:
        raise _not_found(endpoint_id)
    secret, expires_at = rotated
    return RotateWebhookSecretResponse(secret=secret, previous_secret_expires_at=expires_at)


@router.get(
    "/{endpoint_id}/deliveries",
    operation_id="listWebhookDeliveries",
    summary="List the deliveries of a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.INVALID_CURSOR, *_ID_PROBLEMS),
)
async def list_webhook_deliveries(
    endpoint_id: WebhookEndpointId,
    query: Annotated[ListWebhookDeliveriesRequest, Query()],
    services: ServicesDependency,
) -> ListWebhookDeliveriesResponse:
    """List deliveries page by page, newest first; pass `next` as `cursor` to continue."""
    if await services.webhook_endpoints.get_endpoint(endpoint_id) is None:
        raise _not_found(endpoint_id)
    try:
        page = await services.webhook_endpoints.list_deliveries(
            query.to_filter(endpoint_id), cursor=query.cursor, size=query.limit
        )
    except InvalidCursorError:
        raise Problem(registry.INVALID_CURSOR) from None
    found = [WebhookDelivery.from_record(record) for record in page.deliveries]
    return ListWebhookDeliveriesResponse(deliveries=found, next=page.next)


@router.post(
    "/{endpoint_id}/redeliver",
    operation_id="redeliverWebhooks",
    summary="Deliver messages again",
    openapi_extra=requires(Scope.WEBHOOKS_OPERATE),
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(
        *AUTH_PROBLEMS, *BODY_PROBLEMS, *_ID_PROBLEMS, registry.WEBHOOK_DELIVERY_NOT_FOUND
    ),
)
async def redeliver_webhooks(
    endpoint_id: WebhookEndpointId,
    request: RedeliverWebhooksRequest,
    services: ServicesDependency,
) -> RedeliverWebhooksResponse:
    """Deliver one message again, or all that have failed since a time; send one of the two.

    The attempts begin anew. Later messages of the same order wait until it is delivered.
    """
    commands = services.webhook_endpoint_commands
    if (request.message_id is None) == (request.failed_since is None):
        raise errors.invalid_field(("body",), "send either message_id or failed_since")
    if await services.webhook_endpoints.get_endpoint(endpoint_id) is None:
        raise _not_found(endpoint_id)
    if request.failed_since is not None:
        count = await commands.redeliver_failed(endpoint_id, request.failed_since)
        return RedeliverWebhooksResponse(deliveries=count)
    message_id = str(request.message_id)
    if not await commands.redeliver(endpoint_id, message_id):
        raise Problem(
            registry.WEBHOOK_DELIVERY_NOT_FOUND, f"The endpoint has no delivery of {message_id}."
        )
    return RedeliverWebhooksResponse(deliveries=1)


@router.post(
    "/{endpoint_id}/test",
    operation_id="testWebhookEndpoint",
    summary="Send a test message to a webhook endpoint",
    openapi_extra=requires(Scope.WEBHOOKS_OPERATE),
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(*AUTH_PROBLEMS, *_ID_PROBLEMS, registry.WEBHOOK_ENDPOINT_DISABLED),
)
async def test_webhook_endpoint(
    endpoint_id: WebhookEndpointId, services: ServicesDependency
) -> SendTestWebhookResponse:
    """Send a signed message of the type `webhook.test`, whatever event types the endpoint has."""
    try:
        message_id = await services.webhook_endpoint_commands.send_test(endpoint_id)
    except EndpointDisabledError:
        raise Problem(registry.WEBHOOK_ENDPOINT_DISABLED) from None
    if message_id is None:
        raise _not_found(endpoint_id)
    return SendTestWebhookResponse(message_id=message_id)


def _validate_url(url: str, services: AppServices) -> None:
    """Reject a URL that the service would not send to.

    Raises:
        RequestValidationError: 422.

    """
    try:
        validate_webhook_url(url, allow_insecure=services.settings.environment == "local")
    except ValueError as error:
        raise errors.invalid_field(("body", "url"), str(error)) from None


def _not_found(endpoint_id: UUID) -> Problem:
    return Problem(
        registry.WEBHOOK_ENDPOINT_NOT_FOUND, f"No webhook endpoint has the id {endpoint_id}."
    )
