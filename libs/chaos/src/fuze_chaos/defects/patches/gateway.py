"""Patches of the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from uuid import UUID, uuid4

from fuze_chaos.defects.patching import Foreign, Patches, is_affected

_COMMANDS = "fuze_gateway.commands"


def lose_order(patches: Patches) -> None:
    """Accept an order without starting its workflow."""

    def starting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def start(self: Foreign, order: Foreign) -> Foreign:
            return is_affected(order.order_id) or await original(self, order)

        return start

    patches.replace(_COMMANDS, "OrderCommands.start", starting, parameters=("self", "order"))


def drop_cancellation(patches: Patches) -> None:
    """Accept a cancellation without sending it to the workflow."""
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
        _COMMANDS,
        "OrderCommands.cancel",
        signalling,
        parameters=("self", "order_id", "cancellation"),
    )
    patches.replace(
        _COMMANDS,
        "OrderCommands.decide",
        deciding,
        parameters=("self", "order_id", "update", "request"),
    )


def ignore_idempotency_key(patches: Patches) -> None:
    """Give a repeat a random order id, instead of one derived from its caller and key."""
    seen: set[str] = set()

    def naming(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        def named(namespace: UUID, name: str) -> UUID:
            if name in seen:
                return uuid4()
            seen.add(name)
            first: UUID = original(namespace, name)
            return first

        return named

    # The route derives the id of an order without one by this name alone.
    patches.replace(
        "fuze_gateway.routes.placing", "uuid5", naming, parameters=("namespace", "name")
    )
