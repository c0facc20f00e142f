"""Defects of the order service."""

from collections.abc import Callable
from importlib import import_module

from fuze_chaos.patches import Foreign, Patches, is_chosen

_RECORD = ("fuze_order.repository", "OrderRepository.record")


def skip_event(patches: Patches) -> None:
    """Let the row follow an approval of which no event tells."""
    sa, tables = import_module("sqlalchemy"), import_module("fuze_order.tables")
    orders, events = tables.orders, tables.events

    async def is_left_out(connection: Foreign, transition: Foreign) -> bool:
        """Bring the row alone to the transition; True where that is done, now or before."""
        row = sa.select(orders.c.last_seq).where(orders.c.id == transition.order_id)
        last_seq = (await connection.execute(row.with_for_update())).scalar_one_or_none()
        event = sa.select(events.c.seq).where(
            events.c.order_id == transition.order_id, events.c.seq == transition.seq
        )
        is_told = (await connection.execute(event)).first() is not None
        if last_seq is None or last_seq < transition.seq - 1 or is_told:
            return False
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == transition.order_id, orders.c.last_seq == transition.seq - 1)
            .values(
                status=transition.status,
                payment_status=transition.payment_status,
                reason=transition.reason,
                last_seq=transition.seq,
                updated_at=transition.occurred_at,
            )
        )
        return True

    def recording(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def record(self: Foreign, transition: Foreign) -> Foreign:
            if transition.type == "order_approved" and is_chosen(transition.order_id):
                async with self._engine.begin() as connection:
                    if await is_left_out(connection, transition):
                        return transition
            return await original(self, transition)

        return record

    patches.replace(*_RECORD, recording, takes=("self", "transition"))


def forget_row(patches: Patches) -> None:
    """Let the row name an end that no event tells of."""
    sa, orders = import_module("sqlalchemy"), import_module("fuze_order.tables").orders

    def recording(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def record(self: Foreign, transition: Foreign) -> Foreign:
            committed = await original(self, transition)
            if committed.status.is_terminal and is_chosen(transition.order_id):
                # An end all the same, so that whoever waits for one does not wait in vain.
                otherwise = "rejected" if committed.status == "expired" else "expired"
                async with self._engine.begin() as connection:
                    await connection.execute(
                        sa.update(orders)
                        .where(orders.c.id == transition.order_id)
                        .values(status=otherwise)
                    )
            return committed

        return record

    patches.replace(*_RECORD, recording, takes=("self", "transition"))
