"""What the `type` of a problem leads to."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from fuze_gateway import problem_types as types
from fuze_gateway.documented import problem_responses
from fuze_gateway.problem_types import REGISTRY, ProblemType
from fuze_gateway.problems import Problem

router = APIRouter(prefix="/problems", tags=["problems"])

_EXAMPLE: JsonDict = {
    "type": types.TOO_LATE_TO_CANCEL.uri,
    "title": types.TOO_LATE_TO_CANCEL.title,
    "status": types.TOO_LATE_TO_CANCEL.status.value,
    "meaning": types.TOO_LATE_TO_CANCEL.meaning,
}

Slug = Annotated[str, Path(pattern="^[a-z-]{1,64}$", examples=["too-late-to-cancel"])]


class ProblemKind(BaseModel):
    """A kind of problem, and what to make of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    type: str
    title: str
    status: int
    meaning: str


class ProblemKinds(BaseModel):
    """Every kind of problem."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"problems": [_EXAMPLE]}]})

    problems: list[ProblemKind]


@router.get("", operation_id="listProblems")
async def kinds() -> ProblemKinds:
    """List every kind of problem that this API answers with."""
    return ProblemKinds(problems=[_shown(kind) for kind in REGISTRY.values()])


@router.get(
    "/{slug}",
    operation_id="getProblem",
    responses=problem_responses(types.NOT_FOUND, types.INVALID_REQUEST),
)
async def kind(slug: Slug) -> ProblemKind:
    """Say what a kind of problem means, and what to do."""
    if slug not in REGISTRY:
        raise Problem(types.NOT_FOUND)
    return _shown(REGISTRY[slug])


def _shown(found: ProblemType) -> ProblemKind:
    return ProblemKind(
        type=found.uri, title=found.title, status=found.status, meaning=found.meaning
    )
