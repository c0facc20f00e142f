"""Health endpoints of the gateway: liveness and readiness."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from fuze_gateway.app_services import ServicesDependency
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import problem_responses
from fuze_gateway.upstreams import UpstreamUnavailableError

router = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """The process is running and its event loop responds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The gateway can accept orders. PostgreSQL may be unavailable."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ready", "temporal": "ok", "postgresql": "ok"}]}
    )

    status: Literal["ready"] = "ready"
    temporal: Literal["ok"] = "ok"
    postgresql: Literal["ok", "unavailable"]


@router.get(
    "/livez",
    operation_id="livez",
    summary="Check liveness",
    responses=problem_responses(registry.MALFORMED_REQUEST),
)
async def check_liveness() -> Liveness:
    """Respond while the event loop is running."""
    return Liveness()


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Check readiness",
    responses=problem_responses(registry.MALFORMED_REQUEST, registry.UNAVAILABLE),
)
async def check_readiness(services: ServicesDependency) -> Readiness:
    """Return whether the gateway can accept orders, which requires Temporal.

    Without PostgreSQL it still accepts orders and reads their live status.
    """
    temporal, postgresql = await asyncio.gather(
        services.workflows.ping(), services.orders.ping(), return_exceptions=True
    )
    states = {"temporal": _to_state(temporal), "postgresql": _to_state(postgresql)}
    if temporal is not None:
        raise errors.unavailable("Temporal is unavailable.", **states)
    return Readiness.model_validate(states)


def _to_state(result: object) -> str:
    if isinstance(result, UpstreamUnavailableError):
        return "unavailable"
    if isinstance(result, BaseException):
        raise result
    return "ok"
