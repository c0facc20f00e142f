"""Appends events to an order, with the row that they lead to.

Events that the order's workflow does not record take the next number, too: an order that has ended
has no workflow. A workflow that wanted the same number follows the committed event.
"""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from fuze_contracts.order_states import EventType
from fuze_order.tables import events, orders

MAX_ATTEMPTS = 5
"""How often a number is tried that others take."""

_EVENT_COLUMNS = ("type", "status", "payment_status", "actor", "details", "occurred_at")
_PREFIX = "new_"
"""Of the parameters for the row's columns: events have some of the same names."""

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


async def append(
    connection: AsyncConnection,
    order_id: UUID,
    last_seq: int,
    new: Sequence[dict[str, Any]],
    *,
    updated_at: datetime,
    **changes: object,
) -> bool:
    """Insert the events after number `last_seq`, and update the row, with `changes` to it.

    One statement. Returns False where the order is missing, or at another event. The time of the
    row's last update never goes back.
    """
    parameters = {_PREFIX + name: value for name, value in changes.items()}
    parameters |= {"order_id": order_id, "last_seq": last_seq, "updated_at": updated_at}
    for index, event in enumerate(new):
        parameters |= {f"{name}_{index}": event[name] for name in _EVENT_COLUMNS}
    statement = _build_append(len(new), tuple(sorted(changes)))
    inserted = await connection.execute(statement, parameters)
    return inserted.rowcount == len(new)


@functools.cache
def _build_append(count: int, changed: tuple[str, ...]) -> sa.Insert:
    """Build the statement once: that takes longer than its execution."""
    values: dict[str, Any] = {
        name: sa.bindparam(_PREFIX + name, type_=orders.c[name].type) for name in changed
    }
    updated_at = sa.bindparam("updated_at", type_=orders.c.updated_at.type)
    last_seq = sa.bindparam("last_seq", type_=sa.Integer)
    # The row first: two who append to one order then wait for each other, and never deadlock.
    row = (
        sa.update(orders)
        .where(
            orders.c.id == sa.bindparam("order_id", type_=orders.c.id.type),
            orders.c.last_seq == last_seq,
        )
        .values(
            last_seq=last_seq + count,
            updated_at=sa.func.greatest(orders.c.updated_at, updated_at),
            **values,
        )
        .returning(orders.c.id)
        .cte("row")
    )
    rows = [
        sa.select(
            row.c.id,
            (last_seq + index + 1).label("seq"),
            *(
                sa.bindparam(f"{name}_{index}", type_=events.c[name].type)
                for name in _EVENT_COLUMNS
            ),
        )
        for index in range(count)
    ]
    # Their positions in the feed are in this order, too.
    selected = rows[0] if count == 1 else sa.union_all(*rows).order_by("seq")
    return sa.insert(events).from_select(["order_id", "seq", *_EVENT_COLUMNS], selected)


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
    """
    new = {
        "type": event,
        "status": order.status,
        "payment_status": changes.get("payment_status", order.payment_status),
        "actor": actor,
        "details": details,
        "occurred_at": occurred_at,
    }
    return await append(
        connection, order.id, order.last_seq, [new], updated_at=occurred_at, **changes
    )
