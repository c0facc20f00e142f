"""Who is there: the gateway itself, and what it needs."""

import asyncio

from fastapi import APIRouter

from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import problem_responses
from fuze_gateway.schemas import Liveness, Readiness

router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="livez")
async def livez() -> Liveness:
    """Answer as long as the event loop turns."""
    return Liveness()


@router.get("/readyz", operation_id="readyz", responses=problem_responses(types.UNAVAILABLE))
async def readyz(sources: SourcesDependency) -> Readiness:
    """Say whether orders can be taken, which takes Temporal.

    Without PostgreSQL the gateway is still of use: it takes orders and reads them live.
    """
    temporal, postgresql = await asyncio.gather(
        sources.live.check(), sources.reads.check(), return_exceptions=True
    )
    parts = {"temporal": _part(temporal), "postgresql": _part(postgresql)}
    if temporal is not None:
        raise problems.unavailable("Temporal does not answer.", **parts)
    return Readiness.model_validate(parts)


def _part(answer: object) -> str:
    if isinstance(answer, SourceUnavailableError):
        return "unavailable"
    if isinstance(answer, BaseException):
        raise answer
    return "ok"
