"""Endpoints of the commands to an order, made of the table in `orders.commands`.

- an update waits for the outcome: `POST /orders/{order_id}/approve`;
- a signal does not: `POST /orders/{order_id}/signals/approve`;
- a bulk command updates many orders: `POST /orders/bulk/approve`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends

from fuze_contracts.base import Message
from fuze_contracts.order import OrderSignal
from fuze_contracts.order_states import OrderStatus
from fuze_gateway.app_services import (
    AppServices,
    PrincipalDependency,
    ServicesDependency,
    require_json,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Principal
from fuze_gateway.orders.commands import COMMANDS, Bulk, OrderCommand, Signal
from fuze_gateway.orders.lookup import raise_closed_or_missing
from fuze_gateway.orders.schemas.commands import (
    BulkResponse,
    BulkResult,
    CommandResponse,
    ProblemSummary,
    SignalResponse,
)
from fuze_gateway.orders.workflow_client import CommandRejectedError
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, BODY_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId
from fuze_gateway.upstreams import UpstreamUnavailableError, database_timeout

_BULK_CONCURRENCY = 16
"""One caller must not fill the workers."""

_PROBLEMS = (
    *AUTH_PROBLEMS,
    *BODY_PROBLEMS,
    registry.ORDER_NOT_FOUND,
    registry.ORDER_CLOSED,
    registry.WORKFLOW_MISSING,
    registry.REQUEST_REJECTED,
    registry.UNAVAILABLE,
)

router = APIRouter(route_class=ScopedRoute, dependencies=[Depends(require_json)])


def _add_update(command: OrderCommand[Any]) -> None:
    request_type, no_body = _body(command)

    async def update(
        order_id: OrderId,
        services: ServicesDependency,
        principal: PrincipalDependency,
        request: request_type = no_body,  # type: ignore[valid-type] # the command's own model
    ) -> CommandResponse:
        message = command.to_message(request, principal)
        return await _execute_update(order_id, command, message, services)

    router.add_api_route(
        f"/orders/{{order_id}}/{command.path}",
        update,
        methods=[command.method],
        tags=["commands"],
        operation_id=command.operation.operation_id,
        summary=command.operation.summary,
        description=command.operation.description,
        openapi_extra=requires(command.scope),
        responses=problem_responses(*_PROBLEMS, *command.problems),
    )


def _add_signal(command: OrderCommand[Any], signal: Signal) -> None:
    request_type, no_body = _body(command)

    async def send_signal(
        order_id: OrderId,
        services: ServicesDependency,
        principal: PrincipalDependency,
        request: request_type = no_body,  # type: ignore[valid-type] # the command's own model
    ) -> SignalResponse:
        message = command.to_message(request, principal)
        try:
            is_open = await services.order_commands.signal(
                order_id,
                signal.name,
                signal.method,
                message,
                is_awaited=partial(_is_awaited, signal.name, order_id, principal, services),
            )
        except CommandRejectedError as error:
            raise errors.command_rejected(order_id, error.error_type) from None
        if not is_open:
            await raise_closed_or_missing(order_id, services, command.rejected_after)
        status_url = f"/orders/{order_id}/status"
        return SignalResponse(order_id=order_id, signal=signal.path, status_url=status_url)

    router.add_api_route(
        f"/orders/{{order_id}}/signals/{signal.path}",
        send_signal,
        methods=["POST"],
        status_code=HTTPStatus.ACCEPTED,
        tags=["signals"],
        operation_id=signal.operation.operation_id,
        summary=signal.operation.summary,
        description=signal.operation.description,
        openapi_extra=requires(command.scope),
        responses=problem_responses(*_PROBLEMS, *command.problems),
    )


async def _is_awaited(
    signal: OrderSignal, order_id: UUID, principal: Principal, services: AppServices
) -> bool:
    """Whether the order awaits an approval by its row, or has none yet, and the caller may give it.

    False where only the order itself can tell: with four eyes, the one that placed it may not.
    """
    if signal is not OrderSignal.APPROVE:
        return False
    try:
        async with database_timeout(services.settings.read_timeout / 2):
            found = await services.orders.get_status_and_owner(order_id)
    except UpstreamUnavailableError:
        return False
    if found is None:
        return not services.settings.four_eyes
    status, owner = found
    # An order keeps the setting with which it was placed.
    may_be_own = services.settings.four_eyes if principal.id is None else principal.id == owner
    return status is OrderStatus.AWAITING_APPROVAL and not may_be_own


def _add_bulk(command: OrderCommand[Any], bulk: Bulk) -> None:
    async def update_many(
        request: bulk.request,  # type: ignore[name-defined] # the command's own model
        services: ServicesDependency,
        principal: PrincipalDependency,
    ) -> BulkResponse:
        message = command.to_message(request, principal)

        async def execute(order_id: UUID) -> CommandResponse:
            return await _execute_update(order_id, command, message, services)

        return await execute_bulk(request.order_ids, execute, services, principal)

    router.add_api_route(
        f"/orders/bulk/{bulk.path}",
        update_many,
        methods=["POST"],
        tags=["bulk"],
        operation_id=bulk.operation.operation_id,
        summary=bulk.operation.summary,
        description=bulk.operation.description,
        openapi_extra=requires(command.scope),
        responses=problem_responses(*AUTH_PROBLEMS, *BODY_PROBLEMS, registry.UNAVAILABLE),
    )


def _body(command: OrderCommand[Any]) -> tuple[Any, Any]:
    """Return the type and the default of a command's body, which is optional if all fields are."""
    if command.needs_body:
        return command.request, Body()
    return command.request | None, None


async def _execute_update(
    order_id: UUID, command: OrderCommand[Any], message: Message, services: AppServices
) -> CommandResponse:
    """Execute the command and return the order.

    Raises:
        Problem: the order rejects it, has ended, or does not exist.
        UpstreamUnavailableError: Temporal or the workers are unavailable.

    """
    try:
        order = await services.order_commands.execute_update(order_id, command.update, message)
    except CommandRejectedError as error:
        raise errors.command_rejected(order_id, error.error_type, error.rule) from None
    if order is None:
        await raise_closed_or_missing(order_id, services, command.rejected_after)
    return CommandResponse.model_validate(order.model_dump())


async def execute_bulk(
    order_ids: list[UUID],
    execute: Callable[[UUID], Awaitable[CommandResponse]],
    services: AppServices,
    principal: Principal,
) -> BulkResponse:
    """Execute a command for each order, a few at a time, within the caller's rate limit.

    Orders not processed before `bulk_timeout` are reported as `unavailable`, or as
    `rate-limit-exceeded` where the limit is the reason.
    """
    semaphore = asyncio.Semaphore(_BULK_CONCURRENCY)
    timeout = services.settings.bulk_timeout.total_seconds()
    deadline = asyncio.get_running_loop().time() + timeout

    async def execute_one(order_id: UUID) -> BulkResult:
        try:
            async with asyncio.timeout_at(deadline), semaphore:
                if order_id != order_ids[0]:  # the request itself was counted as one
                    await _wait_for_rate_limit(principal, services, deadline)
                await services.ownership.require_access(principal, order_id)
                order = await execute(order_id)
        except errors.Problem as problem:
            return _failed(order_id, problem)
        except UpstreamUnavailableError as error:
            return _failed(order_id, errors.upstream_unavailable(error))
        except TimeoutError:
            return _failed(
                order_id, errors.unavailable("The timeout of the request was reached; retry.")
            )
        return BulkResult(order_id=order_id, order=order, problem=None)

    results = await asyncio.gather(*(execute_one(order_id) for order_id in order_ids))
    succeeded = sum(result.problem is None for result in results)
    return BulkResponse(results=results, succeeded=succeeded, failed=len(results) - succeeded)


async def _wait_for_rate_limit(
    principal: Principal, services: AppServices, deadline: float
) -> None:
    """Count one order, when the caller's rate limit permits it.

    Raises:
        Problem: it does not before the deadline.

    """
    if principal.id is None:
        return
    while exceeded := await services.caller_limiter.hit(principal.id):
        if asyncio.get_running_loop().time() + exceeded.seconds > deadline:
            raise errors.rate_limit_exceeded(exceeded)
        await asyncio.sleep(exceeded.seconds)


def _failed(order_id: UUID, problem: errors.Problem) -> BulkResult:
    summary = ProblemSummary.model_validate(problem.to_json())
    return BulkResult(order_id=order_id, order=None, problem=summary)


for _command in COMMANDS:
    if _command.bulk:
        _add_bulk(_command, _command.bulk)
    _add_update(_command)
    if _command.signal:
        _add_signal(_command, _command.signal)
