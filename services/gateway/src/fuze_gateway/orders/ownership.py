"""Ownership: with `FUZE_OWNERSHIP=caller`, a merchant has access to its own orders only."""

from uuid import UUID

from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.auth.principals import Principal
from fuze_gateway.orders.queries import OrderQueries
from fuze_gateway.orders.workflow_queries import WorkflowQueries
from fuze_gateway.problems import errors
from fuze_gateway.upstreams import UpstreamUnavailableError


class OrderOwnership:
    """Who has access to an order: its owner, and callers that approve or operate all orders."""

    def __init__(
        self, orders: OrderQueries, workflows: WorkflowQueries, *, is_enforced: bool
    ) -> None:
        self._orders = orders
        self._workflows = workflows
        self._is_enforced = is_enforced

    def get_required_owner(self, principal: Principal) -> str | None:
        """Return the owner of all orders that a caller may see; None if it may see every order."""
        return principal.id if self._is_enforced and not principal.can_access_all_orders else None

    async def require_access(self, principal: Principal, order_id: UUID) -> None:
        """Return if the caller has access to the order.

        Raises:
            Problem: it has none, or there is no such order: the same 404.
            UpstreamUnavailableError: the owner is not known now.

        """
        owner = self.get_required_owner(principal)
        if owner is not None and await self._find_owner(order_id) != owner:
            raise errors.order_not_found(order_id)

    async def _find_owner(self, order_id: UUID) -> str | None:
        """Return the owner from the row, or from the workflow of an order without a row."""
        unavailable = None
        try:
            if owner := await self._orders.get_owner(order_id):
                return owner
        except UpstreamUnavailableError as error:
            unavailable = error
        owner = await self._workflows.get_owner(order_workflow_id(order_id))
        if owner is None and unavailable is not None:
            raise unavailable
        return owner
