"""Defects of the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from uuid import UUID, uuid4

from fuze_chaos.patches import Foreign, Patches, is_chosen

_COMMANDS = "fuze_gateway.commands"


def lose_order(patches: Patches) -> None:
    """Say that an order is accepted, and start nothing."""

    def starting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def start(self: Foreign, order: Foreign) -> Foreign:
            return is_chosen(order.order_id) or await original(self, order)

        return start

    patches.replace(_COMMANDS, "OrderCommands.start", starting, takes=("self", "order"))


def forget_cancel(patches: Patches) -> None:
    """Say that an order is being cancelled, and tell nobody."""
    contract = import_module("fuze_contracts.order")

    def signalling(_: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def cancel(self: Foreign, order_id: UUID, cancellation: Foreign) -> bool:  # noqa: ARG001 - that is the defect
            return True

        return cancel

    def deciding(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def decide(
            self: Foreign, order_id: UUID, update: Foreign, request: Foreign
        ) -> Foreign:
            if not isinstance(request, contract.CancelOrder):
                return await original(self, order_id, update, request)
            return contract.OrderSnapshot(
                order_id=order_id,
                status=contract.OrderStatus.CANCELLING,
                payment_status=contract.PaymentStatus.REFUNDING,
                last_seq=1,
                status_since=datetime.now(UTC),
            )

        return decide

    patches.replace(
        _COMMANDS, "OrderCommands.cancel", signalling, takes=("self", "order_id", "cancellation")
    )
    patches.replace(
        _COMMANDS,
        "OrderCommands.decide",
        deciding,
        takes=("self", "order_id", "update", "request"),
    )


def answer_otherwise(patches: Patches) -> None:
    """Make a repeat's order id of nothing, instead of its caller and key."""
    seen: set[str] = set()

    def naming(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        def named(namespace: UUID, name: str) -> UUID:
            if name in seen:
                return uuid4()
            seen.add(name)
            first: UUID = original(namespace, name)
            return first

        return named

    # The one name that the route imports for this: it makes the id of an order that has none.
    patches.replace("fuze_gateway.routes.placing", "uuid5", naming, takes=("namespace", "name"))
