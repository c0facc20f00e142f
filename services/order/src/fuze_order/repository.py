"""All SQL of the order service. Each method is one transaction."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.order import EventType, OrderStatus, PaymentStatus
from fuze_order.messages import Receipt, ReceiveOrder, Transition
from fuze_order.tables import events, order_lines, orders

_DATA_EXCEPTION_OR_CONSTRAINT = {"22", "23"}
"""SQLSTATE classes. The driver has its own errors for some of them, the state is always there."""


class OrderRepository:
    """Orders and their events in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def receive(self, command: ReceiveOrder) -> Receipt:
        """Insert the order, its lines and event 1, unless they are there already."""
        try:
            async with self._engine.begin() as connection:
                if await self._insert_order(connection, command):
                    return Receipt.WRITTEN
                return await self._receipt_of_existing(connection, command)
        except DBAPIError as error:
            if _is_about_the_values(error):
                return Receipt.REFUSED
            raise

    async def record(self, transition: Transition) -> Transition:
        """Write the event and bring the row to it, and return what is committed under its number.

        That is not always what was asked for: an attempt whose outcome the workflow never heard of
        may have committed another event under the same number. What is committed counts.

        Raises:
            LookupError: the order's row is missing, or is not at the event before this one.

        """
        async with self._engine.begin() as connection:
            inserted = await connection.execute(
                insert(events)
                .values(
                    order_id=transition.order_id,
                    seq=transition.seq,
                    type=transition.type,
                    status=transition.status,
                    payment_status=transition.payment_status,
                    actor=transition.actor,
                    details=transition.details,
                    occurred_at=transition.occurred_at,
                )
                .on_conflict_do_nothing()
                .returning(events.c.seq)
            )
            if inserted.first() is None:
                return await self._committed(connection, transition)
            updated = await connection.execute(
                sa.update(orders)
                .where(orders.c.id == transition.order_id, orders.c.last_seq == transition.seq - 1)
                .values(
                    status=transition.status,
                    payment_status=transition.payment_status,
                    last_seq=transition.seq,
                    updated_at=transition.occurred_at,
                    **_changed_columns(transition),
                )
            )
            if updated.rowcount != 1:
                raise LookupError(
                    f"order {transition.order_id} is not at event {transition.seq - 1}"
                )
        return transition

    @staticmethod
    async def _committed(connection: AsyncConnection, asked: Transition) -> Transition:
        query = (
            sa.select(
                events,
                orders.c.reason,
                orders.c.address,
                orders.c.tracking_number,
                orders.c.payment_method,
                orders.c.payment_token,
                orders.c.needs_attention,
                orders.c.tracking_deadline,
            )
            .join(orders, orders.c.id == events.c.order_id)
            .where(events.c.order_id == asked.order_id, events.c.seq == asked.seq)
        )
        row = (await connection.execute(query)).mappings().one()
        return Transition.model_validate(row)

    @staticmethod
    async def _insert_order(connection: AsyncConnection, command: ReceiveOrder) -> bool:
        order = command.order
        inserted = await connection.execute(
            insert(orders)
            .values(
                id=order.order_id,
                run_id=command.run_id,
                fingerprint=order.fingerprint,
                status=OrderStatus.RECEIVED,
                payment_status=PaymentStatus.NONE,
                customer=order.customer,
                currency=order.currency,
                total_minor=order.total_minor,
                payment_method=order.payment_method,
                payment_token=order.payment_token,
                address=order.address.model_dump(mode="json"),
                last_seq=1,
                approval_deadline=command.occurred_at + order.approval_timeout,
                created_at=command.occurred_at,
                updated_at=command.occurred_at,
            )
            .on_conflict_do_nothing()
            .returning(orders.c.id)
        )
        if inserted.first() is None:
            return False
        if order.lines:
            await connection.execute(
                insert(order_lines),
                [
                    {"order_id": order.order_id, "position": position, **line.model_dump()}
                    for position, line in enumerate(order.lines, start=1)
                ],
            )
        await connection.execute(
            insert(events).values(
                order_id=order.order_id,
                seq=1,
                type=EventType.ORDER_RECEIVED,
                status=OrderStatus.RECEIVED,
                payment_status=PaymentStatus.NONE,
                actor=order.placed_by or order.customer or "customer",
                details={"total_minor": order.total_minor, "currency": order.currency},
                occurred_at=command.occurred_at,
            )
        )
        return True

    @staticmethod
    async def _receipt_of_existing(connection: AsyncConnection, command: ReceiveOrder) -> Receipt:
        query = sa.select(orders.c.run_id).where(orders.c.id == command.order.order_id)
        run_id = (await connection.execute(query)).scalar_one()
        return Receipt.WRITTEN if run_id == command.run_id else Receipt.ID_TAKEN


def _is_about_the_values(error: DBAPIError) -> bool:
    """Whether another attempt with the same values must fail in the same way."""
    state: str = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in _DATA_EXCEPTION_OR_CONSTRAINT


def _changed_columns(transition: Transition) -> dict[str, object]:
    columns: dict[str, object] = {
        "reason": transition.reason,
        "needs_attention": transition.needs_attention,
    }
    if transition.address is not None:
        columns["address"] = transition.address.model_dump(mode="json")
    for name in ("tracking_number", "payment_method", "payment_token", "tracking_deadline"):
        if (value := getattr(transition, name)) is not None:
            columns[name] = value
    return columns
