"""Orders that exist but are not where one looked: not recorded yet, or closed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, TypeVar
from uuid import UUID

from fuze_contracts.order_states import OrderStatus
from fuze_gateway.app_services import AppServices
from fuze_gateway.orders.recovery import is_missing
from fuze_gateway.problems import errors

Found = TypeVar("Found")

_POLL_SECONDS = 0.05


async def wait_until_recorded(
    order_id: UUID, services: AppServices, read: Callable[[], Awaitable[Found | None]]
) -> Found:
    """Return the result of `read`, waiting for the row of an order that was just accepted.

    An order that was accepted must never be reported as not found.

    Raises:
        Problem: there is no such order, or its row is still missing after `read_timeout`.
        UpstreamUnavailableError: PostgreSQL or Temporal is unavailable.

    """
    if found := await read():
        return found
    if not await services.workflows.exists(order_id):
        # It may have been recorded, have ended and have been deleted since the first read.
        if found := await read():
            return found
        raise errors.order_not_found(order_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + services.settings.read_timeout.total_seconds()
    while loop.time() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        if found := await read():
            return found
    raise errors.unavailable(f"Order {order_id} was accepted but is not recorded yet.")


async def raise_closed_or_missing(
    order_id: UUID, services: AppServices, rejected_after: Mapping[OrderStatus, str]
) -> NoReturn:
    """Raise the problem of a command to an order without a running workflow.

    `rejected_after` has the error types of contracts that say more than that the order has ended.

    Raises:
        Problem: the order has ended, does not exist, or is open and its workflow is missing.
        UpstreamUnavailableError: PostgreSQL or Temporal is unavailable.

    """
    if await is_missing(order_id, services):
        raise errors.workflow_missing(order_id)
    status = await services.orders.get_status(order_id)
    if status is not None and status in rejected_after:
        raise errors.command_rejected(order_id, rejected_after[status])
    if status is not None or await services.workflows.exists(order_id):
        raise errors.order_closed(order_id)
    raise errors.order_not_found(order_id)
