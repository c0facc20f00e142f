"""Health endpoints of the gateway: liveness and readiness."""

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fuze_gateway.app_services import ServicesDependency
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import problem_responses
from fuze_runtime.build_info import get_build_info

router = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """The process is running and its event loop responds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "alive", "version": "0.1.0", "revision": "3f2a91c"}]
        }
    )

    status: Literal["alive"] = "alive"
    version: str = Field(description="The version of the release.")
    revision: str = Field(description="The commit that the image was built from, or `unknown`.")


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
    return Liveness.model_validate(get_build_info())


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Check readiness",
    responses=problem_responses(registry.MALFORMED_REQUEST, registry.UNAVAILABLE),
)
async def check_readiness(services: ServicesDependency) -> Readiness:
    """Return whether the gateway can accept orders, which requires Temporal.

    While PostgreSQL is unavailable it still accepts orders and reads their live status. A wrong
    password or a missing migration does not end by itself: the gateway is not ready.
    """
    temporal, database = await asyncio.gather(services.check_temporal(), services.check_database())
    states = {
        "temporal": "unavailable" if temporal else "ok",
        "postgresql": "unavailable" if database else "ok",
    }
    if temporal or (database and not database.is_outage):
        reasons = [temporal, database.reason if database else None]
        raise errors.unavailable("; ".join(filter(None, reasons)), **states)
    return Readiness.model_validate(states)
