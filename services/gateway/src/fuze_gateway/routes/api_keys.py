"""Keys of the API: made, listed, taken back."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from fuze_gateway import problem_types as types
from fuze_gateway.dependencies import (
    CallerDependency,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, problem_responses
from fuze_gateway.identity.api_keys import TooManyKeysError
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope, scopes_of
from fuze_gateway.key_schemas import ApiKeyOut, ApiKeys, CreateApiKey, NewApiKey
from fuze_gateway.problems import Problem

router = APIRouter(route_class=ScopedRoute, prefix="/api-keys", tags=["API keys"])

KeyId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["0123456789ab"])]


@router.post(
    "",
    operation_id="createApiKey",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(
        *OF_A_CALLER, *OF_A_BODY, types.TOO_MANY_API_KEYS, types.UNAVAILABLE
    ),
)
async def create(
    request: CreateApiKey, sources: SourcesDependency, caller: CallerDependency
) -> NewApiKey:
    """Make a key for a client. It is shown this once; a client has two at most, to change them."""
    try:
        text, key = await sources.api_keys.create(
            request.client,
            scopes_of([request.role]),
            lifetime=request.lifetime,
            created_by=caller.acting_as(None),
        )
    except TooManyKeysError:
        raise Problem(types.TOO_MANY_API_KEYS) from None
    return NewApiKey(key=text, **ApiKeyOut.of(key).model_dump())


@router.get(
    "",
    operation_id="listApiKeys",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    responses=problem_responses(*OF_A_CALLER, types.UNAVAILABLE),
)
async def list_all(sources: SourcesDependency) -> ApiKeys:
    """List every key that was ever made, by client, newest first; never a secret."""
    return ApiKeys(api_keys=[ApiKeyOut.of(key) for key in await sources.api_keys.list()])


@router.delete(
    "/{key_id}",
    operation_id="revokeApiKey",
    openapi_extra=requires(Scope.KEYS_MANAGE),
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(
        *OF_A_CALLER, types.INVALID_REQUEST, types.API_KEY_NOT_FOUND, types.UNAVAILABLE
    ),
)
async def revoke(key_id: KeyId, sources: SourcesDependency) -> None:
    """Take a key back; every gateway has noticed within seconds."""
    if not await sources.api_keys.revoke(key_id):
        raise Problem(types.API_KEY_NOT_FOUND, f"There is no live API key {key_id}.")
