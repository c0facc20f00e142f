"""Appends events that the order's workflow does not record: an order that has ended has none.

They take the order's next number, as its workflow does; a workflow that wanted the same number
follows the committed event.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fuze_contracts.order_states import EventType
from fuze_order.tables import events, orders

MAX_ATTEMPTS = 5
"""How often a number is tried that others take."""

OrderRow = sa.Row[tuple[Any, ...]]


class ChangedMeanwhileError(LookupError):
    """The order does not exist, or changes too often; to be retried."""

    def __init__(self, order_id: UUID) -> None:
        super().__init__(f"order {order_id} is missing, or changes meanwhile; retry")


async def find_order(connection: AsyncConnection, order_id: UUID) -> OrderRow | None:
    """Return the order's row.

    Read it before everything that an event depends on. Nothing that is recorded with an event of
    the order can change in between: `append_event` would find the next number taken.
    """
    query = sa.select(orders).where(orders.c.id == order_id)
    return (await connection.execute(query)).one_or_none()


async def append_event(  # noqa: PLR0913 - the columns of an event
    connection: AsyncConnection,
    order: OrderRow,
    *,
    event: EventType,
    actor: str,
    details: dict[str, Any],
    occurred_at: datetime,
    **changes: object,
) -> bool:
    """Insert the event after the order's last one, and update the row, with `changes` to it.

    Returns False where another transaction took the number. Then end this one, and start again.

    Raises:
        LookupError: the row is not at the event before; to be retried.

    """
    # The event first, as the workflow's transitions do: the other order could deadlock.
    inserted = await connection.execute(
        insert(events)
        .values(
            order_id=order.id,
            seq=order.last_seq + 1,
            type=event,
            status=order.status,
            payment_status=changes.get("payment_status", order.payment_status),
            actor=actor,
            details=details,
            occurred_at=occurred_at,
        )
        .on_conflict_do_nothing()
        .returning(events.c.seq)
    )
    if inserted.first() is None:
        return False
    updated = await connection.execute(
        sa.update(orders)
        .where(orders.c.id == order.id, orders.c.last_seq == order.last_seq)
        .values(
            last_seq=order.last_seq + 1,
            updated_at=sa.func.greatest(orders.c.updated_at, occurred_at),
            **changes,
        )
    )
    if updated.rowcount != 1:
        raise LookupError(f"order {order.id} is not at event {order.last_seq}; retry")
    return True
