"""The same decision about many orders."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Depends

from fuze_contracts.order import ApproveOrder, CancelOrder, OrderWorkflow
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.dependencies import (
    CallerDependency,
    Sources,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, problem_responses
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.problem_handlers import problem_of
from fuze_gateway.requests import BulkApprove, BulkCancel
from fuze_gateway.routes.decisions import decided
from fuze_gateway.schemas import BulkResult, BulkResults, OrderState, ProblemSummary

router = APIRouter(
    route_class=ScopedRoute,
    prefix="/orders/bulk",
    tags=["bulk"],
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_CALLER, *OF_A_BODY, types.UNAVAILABLE),
)

_AT_ONCE = 16
"""So many are asked at a time: one caller shall not fill the workers."""

Decide = Callable[[UUID], Awaitable[OrderState]]


@router.post("/approve", operation_id="approveOrders", openapi_extra=requires(Scope.ORDERS_APPROVE))
async def approve(
    request: BulkApprove, sources: SourcesDependency, caller: CallerDependency
) -> BulkResults:
    """Let many orders proceed to payment; the answer says what became of each."""
    approval = ApproveOrder(actor=caller.acting_as(request.actor))
    return await _each(
        request.order_ids,
        sources,
        lambda order_id: decided(order_id, OrderWorkflow.approve_order, approval, sources),
    )


@router.post("/cancel", operation_id="cancelOrders", openapi_extra=requires(Scope.ORDERS_WRITE))
async def cancel(
    request: BulkCancel, sources: SourcesDependency, caller: CallerDependency
) -> BulkResults:
    """Stop many orders; the answer says what became of each."""
    cancellation = CancelOrder(actor=caller.acting_as(request.actor), reason=request.reason)
    return await _each(
        request.order_ids,
        sources,
        lambda order_id: decided(order_id, OrderWorkflow.cancel_order, cancellation, sources),
    )


async def _each(order_ids: list[UUID], sources: Sources, decide: Decide) -> BulkResults:
    """Decide about each, some at a time; what the time does not suffice for is `unavailable`."""
    gate = asyncio.Semaphore(_AT_ONCE)
    limit = sources.settings.bulk_timeout.total_seconds()
    deadline = asyncio.get_running_loop().time() + limit

    async def one(order_id: UUID) -> BulkResult:
        try:
            async with asyncio.timeout_at(deadline), gate:
                state = await decide(order_id)
        except problems.Problem as problem:
            return _refused(order_id, problem)
        except SourceUnavailableError as error:
            return _refused(order_id, problem_of(error))
        except TimeoutError:
            return _refused(
                order_id, problems.unavailable("There was no time left for this order.")
            )
        return BulkResult(order_id=order_id, order=state, problem=None)

    results = await asyncio.gather(*(one(order_id) for order_id in order_ids))
    accepted = sum(result.problem is None for result in results)
    return BulkResults(results=results, accepted=accepted, refused=len(results) - accepted)


def _refused(order_id: UUID, problem: problems.Problem) -> BulkResult:
    summary = ProblemSummary.model_validate(problem.content())
    return BulkResult(order_id=order_id, order=None, problem=summary)
