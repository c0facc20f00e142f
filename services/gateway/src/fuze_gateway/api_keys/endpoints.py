"""Endpoints of API keys: create, list, revoke."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from fuze_gateway.api_keys.commands import TooManyKeysError
from fuze_gateway.api_keys.schemas import (
    ApiKey,
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    ListApiKeysResponse,
)
from fuze_gateway.app_services import PrincipalDependency, ServicesDependency, require_json
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope, get_scopes
from fuze_gateway.problems import registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, BODY_PROBLEMS, problem_responses

router = APIRouter(route_class=ScopedRoute, prefix="/api-keys", tags=["API keys"])

KeyId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["0123456789ab"])]


@router.post(
    "",
    operation_id="createApiKey",
    summary="Create an API key",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(
        *AUTH_PROBLEMS, *BODY_PROBLEMS, registry.TOO_MANY_API_KEYS, registry.UNAVAILABLE
    ),
)
async def create_api_key(
    request: CreateApiKeyRequest, services: ServicesDependency, principal: PrincipalDependency
) -> CreateApiKeyResponse:
    """Create an API key for a client.

    The response contains the key, which cannot be read again. A client can have two active keys,
    so that it can rotate them.
    """
    try:
        key, record = await services.api_key_commands.create(
            request.client,
            get_scopes([request.role]),
            lifetime=request.lifetime,
            created_by=principal.actor_name(None),
        )
    except TooManyKeysError:
        raise Problem(registry.TOO_MANY_API_KEYS) from None
    return CreateApiKeyResponse.from_record(record, key=key)


@router.get(
    "",
    operation_id="listApiKeys",
    summary="List API keys",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.UNAVAILABLE),
)
async def list_api_keys(services: ServicesDependency) -> ListApiKeysResponse:
    """List every API key, including expired and revoked ones, by client, newest first."""
    records = await services.api_keys.list_all()
    return ListApiKeysResponse(api_keys=[ApiKey.from_record(record) for record in records])


@router.delete(
    "/{key_id}",
    operation_id="revokeApiKey",
    summary="Revoke an API key",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(
        *AUTH_PROBLEMS,
        registry.INVALID_REQUEST,
        registry.API_KEY_NOT_FOUND,
        registry.UNAVAILABLE,
    ),
)
async def revoke_api_key(key_id: KeyId, services: ServicesDependency) -> None:
    """Revoke an API key. It takes effect within `FUZE_API_KEY_CACHE_TTL` (10 s)."""
    if not await services.api_key_commands.revoke(key_id):
        raise Problem(registry.API_KEY_NOT_FOUND, f"No active API key has the id {key_id}.")
