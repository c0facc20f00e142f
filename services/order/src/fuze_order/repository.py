"""All SQL of the order service. Each method is one transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order import event_log
from fuze_order.messages import InsertFailure, ReceiveOrder, Transition, to_details
from fuze_order.tables import events, order_adjustments, order_lines, orders

_DATA_EXCEPTION_OR_CONSTRAINT = {"22", "23"}
"""SQLSTATE classes. The driver has its own exceptions for some of them; all have the state."""

_INSERT_ORDER = insert(orders).on_conflict_do_nothing().returning(orders.c.id)


class OrderRepository:
    """Orders and their events in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # A single statement needs no BEGIN and COMMIT, which are round trips of their own.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def create(self, command: ReceiveOrder) -> Transition | InsertFailure:
        """Insert the order, its lines and first events; return its latest committed transition.

        That is the given outcome, unless the order is stored already: by an attempt whose result
        the workflow never received, or the run before a reset. The row of a recovered order gets
        the new workflow's run id.
        """
        try:
            async with self._engine.begin() as connection:
                if command.order.recovery and await self._adopt(connection, command):
                    return await self._latest(connection, command.order.order_id)
                if await self._insert_order(connection, command):
                    return command.outcome
                if await self._is_own_order(connection, command):
                    return await self._latest(connection, command.order.order_id)
                return InsertFailure.ID_TAKEN
        except DBAPIError as error:
            if _is_data_error(error):
                return InsertFailure.INVALID_VALUES
            raise

    async def record(self, *transitions: Transition) -> Transition:
        """Insert the events, update the row, and return the latest transition that is committed.

        That is the last of the given ones, unless the first one's number is taken. Then an attempt
        whose result the workflow never received, or the run before a reset, has committed it, and
        the workflow continues from there.

        Raises:
            LookupError: the order's row is missing, or is not at the event before these.

        """
        first, last = transitions[0], transitions[-1]
        async with self._autocommit.connect() as connection:
            if await event_log.append(
                connection,
                first.order_id,
                first.seq - 1,
                [_to_event(one) for one in transitions],
                status=last.status,
                payment_status=last.payment_status,
                updated_at=last.occurred_at,
                **_changed_columns(transitions),
            ):
                return last
            latest = await self._latest(connection, first.order_id)
        if latest.seq < first.seq:
            raise LookupError(f"order {first.order_id} is not at event {first.seq - 1}; retry")
        return latest

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
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise LookupError(f"order {order_id} is missing; retry")
        return Transition.model_validate(row)

    @staticmethod
    async def _insert_order(connection: AsyncConnection, command: ReceiveOrder) -> bool:
        order, outcome = command.order, command.outcome
        inserted = await connection.execute(
            _INSERT_ORDER,
            {
                "id": order.order_id,
                "run_id": command.run_id,
                "fingerprint": order.fingerprint,
                "status": outcome.status,
                "payment_status": outcome.payment_status,
                "reason": outcome.reason,
                "customer": order.customer,
                "customer_email": order.customer_email,
                "customer_name": order.customer_name,
                "reference": order.reference,
                "metadata": order.metadata,
                "owner": order.owner,
                "trace_id": order.trace_id,
                "currency": order.currency,
                "total_minor": order.totals.total_minor,
                "discount_minor": order.totals.discount_minor,
                "shipping_minor": order.totals.shipping_minor,
                "tax_minor": order.totals.tax_minor,
                "fee_minor": order.totals.fee_minor,
                "payment_method": order.payment_method,
                "payment_token": order.payment_token,
                "address": order.address and order.address.model_dump(mode="json"),
                "billing_address": order.billing_address
                and order.billing_address.model_dump(mode="json"),
                "last_seq": outcome.seq,
                "approval_deadline": command.occurred_at + order.approval_timeout,
                "created_at": command.occurred_at,
                "updated_at": outcome.occurred_at,
            },
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
        await connection.execute(insert(events), [_received(command), _to_event(outcome)])
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
    async def _is_own_order(connection: AsyncConnection, command: ReceiveOrder) -> bool:
        query = sa.select(orders.c.run_id).where(orders.c.id == command.order.order_id)
        run_id: str = (await connection.execute(query)).scalar_one()
        return run_id == command.run_id


def _received(command: ReceiveOrder) -> dict[str, object]:
    """Return event 1: what was ordered, and the addresses as the caller spelt them."""
    order = command.order
    return {
        "order_id": order.order_id,
        "seq": 1,
        "type": EventType.ORDER_RECEIVED,
        "status": OrderStatus.RECEIVED,
        "payment_status": PaymentStatus.NONE,
        "actor": order.placed_by or order.customer or "customer",
        "details": {
            **asdict(order.totals),
            "total_minor": order.total_minor,
            "currency": order.currency,
        }
        | to_details(
            address=order.entered_address or order.address,
            billing_address=order.entered_billing_address or order.billing_address,
        ),
        "occurred_at": command.occurred_at,
    }


def _to_event(transition: Transition) -> dict[str, object]:
    return {
        "order_id": transition.order_id,
        "seq": transition.seq,
        "type": transition.type,
        "status": transition.status,
        "payment_status": transition.payment_status,
        "actor": transition.actor,
        "details": transition.details,
        "occurred_at": transition.occurred_at,
    }


def _is_data_error(error: DBAPIError) -> bool:
    """Whether every attempt with the same values must fail."""
    state: str = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in _DATA_EXCEPTION_OR_CONSTRAINT


def _changed_columns(transitions: Sequence[Transition]) -> dict[str, object]:
    columns: dict[str, object] = {
        "reason": transitions[-1].reason,
        "needs_attention": transitions[-1].needs_attention,
        "workflow_failing_since": None,  # its workflow task has succeeded
    }
    for transition in transitions:
        if transition.address is not None:
            columns["address"] = transition.address.model_dump(mode="json")
        for name in ("tracking_number", "payment_method", "payment_token", "tracking_deadline"):
            if (value := getattr(transition, name)) is not None:
                columns[name] = value
    return columns
