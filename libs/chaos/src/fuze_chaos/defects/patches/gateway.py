"""Patches of the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from uuid import UUID, uuid4

from fuze_chaos.defects.patching import Foreign, Patches, is_affected

_COMMANDS = "fuze_gateway.orders.workflow_client"


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
    states = import_module("fuze_contracts.order_states")

    def signalling(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def send_signal(  # noqa: PLR0913 - the parameters of the original
            self: Foreign,
            order_id: UUID,
            name: Foreign,
            signal: Foreign,
            message: Foreign,
            *,
            is_awaited: Foreign,
        ) -> Foreign:
            if isinstance(message, contract.CancelOrder):
                return True
            return await original(self, order_id, name, signal, message, is_awaited=is_awaited)

        return send_signal

    def updating(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def execute_update(
            self: Foreign, order_id: UUID, update: Foreign, message: Foreign
        ) -> Foreign:
            if not isinstance(message, contract.CancelOrder):
                return await original(self, order_id, update, message)
            return contract.OrderSnapshot(
                order_id=order_id,
                status=states.OrderStatus.CANCELLING,
                payment_status=states.PaymentStatus.REFUNDING,
                last_seq=1,
                status_since=datetime.now(UTC),
            )

        return execute_update

    patches.replace(
        _COMMANDS,
        "OrderCommands.signal",
        signalling,
        parameters=("self", "order_id", "name", "signal", "message", "is_awaited"),
    )
    patches.replace(
        _COMMANDS,
        "OrderCommands.execute_update",
        updating,
        parameters=("self", "order_id", "update", "message"),
    )


def ignore_idempotency_key(patches: Patches) -> None:
    """Give a repeat a random order id, instead of one derived from its caller and key."""
    used: set[str] = set()

    def deriving(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        def get_order_id(principal: Foreign, idempotency_key: str, secret: Foreign) -> UUID:
            if idempotency_key in used:
                return uuid4()
            used.add(idempotency_key)
            first: UUID = original(principal, idempotency_key, secret)
            return first

        return get_order_id

    # The endpoint's own name for it, which is the one that it calls.
    patches.replace(
        "fuze_gateway.orders.endpoints.create",
        "get_order_id",
        deriving,
        parameters=("principal", "idempotency_key", "secret"),
    )
