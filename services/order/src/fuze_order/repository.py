"""All SQL of the order service. Each method is one transaction."""

from dataclasses import asdict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order.messages import InsertResult, ReceiveOrder, Transition, to_details
from fuze_order.tables import events, order_adjustments, order_lines, orders

_DATA_EXCEPTION_OR_CONSTRAINT = {"22", "23"}
"""SQLSTATE classes. The driver has its own exceptions for some of them; all have the state."""


class OrderRepository:
    """Orders and their events in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, command: ReceiveOrder) -> InsertResult:
        """Insert the order, its lines and event 1, unless they are stored already.

        The row of a recovered order gets the new workflow's run id.
        """
        try:
            async with self._engine.begin() as connection:
                if command.order.recovery and await self._adopt(connection, command):
                    return InsertResult.STORED
                if await self._insert_order(connection, command):
                    return InsertResult.STORED
                return await self._compare_run_id(connection, command)
        except DBAPIError as error:
            if _is_data_error(error):
                return InsertResult.INVALID_VALUES
            raise

    async def record(self, transition: Transition) -> Transition:
        """Insert the event, update the row, and return what is committed.

        That is the given transition, unless its number is taken: then the order's latest transition
        is returned. An attempt whose result the workflow never received, or the run before a reset,
        has committed it, and the workflow continues from there.

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
                return await self._latest(connection, transition.order_id)
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
                    f"order {transition.order_id} is not at event {transition.seq - 1}; retry"
                )
        return transition

    @staticmethod
    async def _latest(connection: AsyncConnection, order_id: UUID) -> Transition:
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
            .join(orders, (orders.c.id == events.c.order_id) & (orders.c.last_seq == events.c.seq))
            .where(orders.c.id == order_id)
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
                customer_email=order.customer_email,
                customer_name=order.customer_name,
                reference=order.reference,
                metadata=order.metadata,
                owner=order.owner,
                currency=order.currency,
                total_minor=order.totals.total_minor,
                discount_minor=order.totals.discount_minor,
                shipping_minor=order.totals.shipping_minor,
                tax_minor=order.totals.tax_minor,
                fee_minor=order.totals.fee_minor,
                payment_method=order.payment_method,
                payment_token=order.payment_token,
                address=order.address and order.address.model_dump(mode="json"),
                billing_address=order.billing_address
                and order.billing_address.model_dump(mode="json"),
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
        for table, parts in ((order_lines, order.lines), (order_adjustments, order.adjustments)):
            if parts:
                await connection.execute(
                    insert(table),
                    [
                        {"order_id": order.order_id, "position": position, **part.model_dump()}
                        for position, part in enumerate(parts, start=1)
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
                details={
                    **asdict(order.totals),
                    "total_minor": order.total_minor,
                    "currency": order.currency,
                }
                | to_details(
                    address=order.entered_address or order.address,
                    billing_address=order.entered_billing_address or order.billing_address,
                ),
                occurred_at=command.occurred_at,
            )
        )
        return True

    @staticmethod
    async def _adopt(connection: AsyncConnection, command: ReceiveOrder) -> bool:
        adopted = await connection.execute(
            sa.update(orders)
            .where(orders.c.id == command.order.order_id)
            .values(
                run_id=command.run_id,
                workflow_missing_at=None,
                workflow_failing_since=None,
                # No event follows that would clear the flag; others continue with one.
                needs_attention=sa.and_(
                    orders.c.needs_attention, orders.c.status != OrderStatus.SHIPPED
                ),
            )
        )
        return adopted.rowcount == 1

    @staticmethod
    async def _compare_run_id(connection: AsyncConnection, command: ReceiveOrder) -> InsertResult:
        query = sa.select(orders.c.run_id).where(orders.c.id == command.order.order_id)
        run_id = (await connection.execute(query)).scalar_one()
        return InsertResult.STORED if run_id == command.run_id else InsertResult.ID_TAKEN


def _is_data_error(error: DBAPIError) -> bool:
    """Whether every attempt with the same values must fail."""
    state: str = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in _DATA_EXCEPTION_OR_CONSTRAINT


def _changed_columns(transition: Transition) -> dict[str, object]:
    columns: dict[str, object] = {
        "reason": transition.reason,
        "needs_attention": transition.needs_attention,
        "workflow_failing_since": None,  # its workflow task has succeeded
    }
    if transition.address is not None:
        columns["address"] = transition.address.model_dump(mode="json")
    for name in ("tracking_number", "payment_method", "payment_token", "tracking_deadline"):
        if (value := getattr(transition, name)) is not None:
            columns[name] = value
    return columns
