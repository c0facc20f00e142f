"""The endpoint that says who the caller is."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fuze_gateway.app_services import PrincipalDependency
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses

router = APIRouter(route_class=ScopedRoute)


class CallerResponse(BaseModel):
    """The caller of the request, and what it may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "grace", "scopes": ["orders:approve", "orders:read"]}]
        }
    )

    name: str | None = Field(description="The actor in events; null when authentication is off.")
    scopes: list[Scope]


@router.get(
    "/caller",
    operation_id="getCaller",
    summary="Get the caller",
    tags=["API keys"],
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(*AUTH_PROBLEMS),
)
async def get_caller(principal: PrincipalDependency) -> CallerResponse:
    """Return the name and the scopes of the credentials that the request was sent with."""
    return CallerResponse(name=principal.name, scopes=sorted(principal.scopes))
