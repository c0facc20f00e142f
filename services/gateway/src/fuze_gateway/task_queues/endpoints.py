"""The endpoint of the task queues."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fuze_gateway.app_services import ServicesDependency
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.problems import registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses

router = APIRouter(route_class=ScopedRoute)


class TaskQueue(BaseModel):
    """A task queue, and when a worker polled it."""

    name: str
    last_polled_at: datetime | None = Field(
        description="The last poll that Temporal remembers; it forgets after some minutes."
    )
    unpolled_since: datetime | None = Field(
        description="Set when the queue needs attention: since then no worker polled it, as far as"
        " this gateway has seen."
    )
    needs_attention: bool = Field(description="No worker polled the queue for too long.")


class ListTaskQueuesResponse(BaseModel):
    """The task queues of all services."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task_queues": [
                        {
                            "name": "order",
                            "last_polled_at": "2026-01-05T10:00:00Z",
                            "unpolled_since": None,
                            "needs_attention": False,
                        }
                    ]
                }
            ]
        }
    )

    task_queues: list[TaskQueue]


@router.get(
    "/task-queues",
    operation_id="listTaskQueues",
    summary="List the task queues and their last polls",
    tags=["health"],
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.UNAVAILABLE),
)
async def list_task_queues(services: ServicesDependency) -> ListTaskQueuesResponse:
    """Return which task queues workers poll. A step waits while no worker polls its queue."""
    states = await services.task_queues.check()
    now = datetime.now(UTC)
    return ListTaskQueuesResponse(
        task_queues=[
            TaskQueue(
                name=state.name,
                last_polled_at=state.last_polled_at,
                unpolled_since=now - state.unpolled_for if state.needs_attention else None,
                needs_attention=state.needs_attention,
            )
            for state in states
        ]
    )
