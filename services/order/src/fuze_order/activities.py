"""The order service's activities: one activity, one transaction."""

from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from fuze_contracts.order import (
    ORDER_ID_TAKEN,
    ORDER_REJECTED,
    EventType,
    OrderStatus,
    PaymentStatus,
)
from fuze_contracts.shipping import Address
from fuze_order import rules
from fuze_order.messages import Receipt, ReceiveOrder, Transition, ValidateOrder

if TYPE_CHECKING:  # the workflow imports this module, and must not reach a database driver
    from fuze_order.repository import OrderRepository


class OrderActivities:
    """What OrderWorkflow has done in PostgreSQL.

    Each may be called again with the same argument: what is written is written once.
    """

    def __init__(self, repository: "OrderRepository") -> None:
        self._repository = repository

    @activity.defn
    async def order_received(self, command: ReceiveOrder) -> None:
        """Write the order and its first event.

        Raises:
            ApplicationError: `ORDER_ID_TAKEN`, final: an older order has this id; or
                `ORDER_REJECTED`, final: PostgreSQL cannot hold such values.

        """
        order_id = command.order.order_id
        match await self._repository.receive(command):
            case Receipt.WRITTEN:
                return
            case Receipt.ID_TAKEN:
                raise ApplicationError(
                    f"order {order_id} exists already", type=ORDER_ID_TAKEN, non_retryable=True
                )
            case Receipt.REFUSED:
                raise ApplicationError(
                    f"order {order_id} has values that cannot be stored",
                    type=ORDER_REJECTED,
                    non_retryable=True,
                )

    @activity.defn
    async def validate_order(self, command: ValidateOrder) -> None:
        """Check the order, and write what came of it.

        Raises:
            ApplicationError: `ORDER_REJECTED`, final, with the violations as details. The
                rejection is committed first, so that the row says it whatever happens next.

        """
        found = rules.violations(command.order)
        reason = "; ".join(violation.message for violation in found)
        committed = await self._repository.record(
            Transition(
                order_id=command.order.order_id,
                seq=command.seq,
                type=EventType.ORDER_REJECTED if found else EventType.ORDER_VALIDATED,
                status=OrderStatus.REJECTED if found else OrderStatus.AWAITING_APPROVAL,
                payment_status=PaymentStatus.NONE,
                actor="order-service",
                occurred_at=command.occurred_at,
                reason=reason or None,
                details={"violations": [violation.model_dump() for violation in found]}
                if found
                else {},
            )
        )
        if committed.type is EventType.ORDER_REJECTED:
            raise ApplicationError(
                committed.reason or "rejected",
                committed.details.get("violations"),
                type=ORDER_REJECTED,
                non_retryable=True,
            )

    @activity.defn
    async def address_validated(self, address: Address) -> bool:
        """Say whether the address keeps the rules."""
        return rules.is_valid(address)

    @activity.defn
    async def transition_recorded(self, transition: Transition) -> Transition:
        """Write one event and the row it leads to, and return what is committed under its number.

        An address that breaks the rules is not taken over; the event then says so.
        """
        return await self._repository.record(rules.with_valid_address(transition))
