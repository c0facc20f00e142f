"""Endpoints of the problem registry: what a problem's `type` links to."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from fuze_gateway.problems import registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.openapi import problem_responses
from fuze_gateway.problems.registry import REGISTRY, ProblemType

router = APIRouter(prefix="/problems", tags=["problems"])

_EXAMPLE: JsonDict = {
    "type": registry.TOO_LATE_TO_CANCEL.uri,
    "title": registry.TOO_LATE_TO_CANCEL.title,
    "status": registry.TOO_LATE_TO_CANCEL.status.value,
    "meaning": registry.TOO_LATE_TO_CANCEL.meaning,
}

Slug = Annotated[str, Path(pattern="^[a-z-]{1,64}$", examples=["too-late-to-cancel"])]


class ProblemTypeResponse(BaseModel):
    """A problem type and its meaning."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    type: str
    title: str
    status: int
    meaning: str


class ListProblemTypesResponse(BaseModel):
    """Every problem type."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"problems": [_EXAMPLE]}]})

    problems: list[ProblemTypeResponse]


@router.get(
    "",
    operation_id="listProblems",
    summary="List problem types",
    responses=problem_responses(registry.MALFORMED_REQUEST),
)
async def list_problem_types() -> ListProblemTypesResponse:
    """List every problem type that this API responds with."""
    return ListProblemTypesResponse(problems=[_to_json(one) for one in REGISTRY.values()])


@router.get(
    "/{slug}",
    operation_id="getProblem",
    summary="Get a problem type",
    responses=problem_responses(registry.NOT_FOUND, registry.INVALID_REQUEST),
)
async def get_problem_type(slug: Slug) -> ProblemTypeResponse:
    """Return the meaning of a problem type."""
    if slug not in REGISTRY:
        raise Problem(registry.NOT_FOUND)
    return _to_json(REGISTRY[slug])


def _to_json(problem_type: ProblemType) -> ProblemTypeResponse:
    return ProblemTypeResponse(
        type=problem_type.uri,
        title=problem_type.title,
        status=problem_type.status,
        meaning=problem_type.meaning,
    )
