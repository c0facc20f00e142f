"""All SQL about returns. Each method is one transaction.

A return changes together with an event of its order, so that the number of the order's events
decides every race: two returns of the last unit, or an approval and a cancellation.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_contracts.payment import RefundPayment
from fuze_contracts.refund_allocation import RefundLine, divide_order
from fuze_contracts.returns import (
    RequestReturn,
    RequestReturnOutcome,
    ReturnRefusal,
    ReturnRefused,
    ReturnSnapshot,
    ReturnStatus,
)
from fuze_order.event_log import (
    MAX_ATTEMPTS,
    ChangedMeanwhileError,
    append_event,
    find_order,
)
from fuze_order.messages import ReturnTransition
from fuze_order.tables import events, order_adjustments, order_lines, return_lines, returns

_MAX_RESUMED = 100
_RETURNABLE = {OrderStatus.SHIPPED, OrderStatus.DELIVERED}
_REFUNDED_IN_FULL = {PaymentStatus.REFUNDING, PaymentStatus.REFUNDED}
_WITHOUT_UNITS = [ReturnStatus.REJECTED, ReturnStatus.CANCELLED]
_EVENTS = {
    ReturnStatus.APPROVED: EventType.RETURN_APPROVED,
    ReturnStatus.REJECTED: EventType.RETURN_REJECTED,
    ReturnStatus.CANCELLED: EventType.RETURN_CANCELLED,
    ReturnStatus.RECEIVED: EventType.RETURN_RECEIVED,
    ReturnStatus.REFUNDED: EventType.RETURN_REFUNDED,
    ReturnStatus.REFUND_FAILED: EventType.RETURN_REFUND_FAILED,
}
_NEEDS_PARCEL = {ReturnStatus.APPROVED, ReturnStatus.RECEIVED}


class ReturnRepository:
    """Returns in PostgreSQL, with their events."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def request(self, request: RequestReturn, occurred_at: datetime) -> RequestReturnOutcome:
        """Return the return under this id, inserting it if it does not exist.

        Raises:
            LookupError: the order changes too often; to be retried.

        """
        for _ in range(MAX_ATTEMPTS):
            async with self._engine.begin() as connection:
                order = await find_order(connection, request.order_id)
                returnable = await self._count_returnable(connection, request.order_id)
                # Last: a repeat that commits in between has taken the units itself.
                if existing := await self._find(connection, request.return_id):
                    return existing
                if (
                    order is None
                    or order.status not in _RETURNABLE
                    or order.payment_status in _REFUNDED_IN_FULL
                ):
                    return ReturnRefused(
                        return_id=request.return_id, code=ReturnRefusal.ORDER_NOT_RETURNABLE
                    )
                for line_id, quantity in _list_units(request):
                    if quantity > returnable[line_id]:
                        return ReturnRefused(
                            return_id=request.return_id,
                            code=ReturnRefusal.MORE_THAN_SHIPPED,
                            line_id=line_id,
                            returnable=max(returnable[line_id], 0),
                        )
                if await append_event(
                    connection,
                    order,
                    event=EventType.RETURN_REQUESTED,
                    actor=request.actor,
                    details=_to_details(request.return_id, request.reason)
                    | {"lines": [line.model_dump() for line in request.lines]},
                    occurred_at=occurred_at,
                ):
                    return await self._insert(connection, request, occurred_at)
        raise ChangedMeanwhileError(request.order_id)

    async def change(self, change: ReturnTransition) -> ReturnSnapshot | None:
        """Change the return's status with its event, and return what is committed then.

        That is another status where the return is not in one from which this one follows. None
        where the carrier has returned the order's parcel: nothing can come from the customer.

        Raises:
            LookupError: the order changes too often; to be retried.

        """
        for _ in range(MAX_ATTEMPTS):
            async with self._engine.begin() as connection:
                order = await find_order(connection, change.order_id)
                committed = await self._find(connection, change.return_id)
                if order is None or committed is None:
                    break
                if not change.status.may_follow(committed.status):
                    return committed
                if change.status in _NEEDS_PARCEL and order.status not in _RETURNABLE:
                    return None
                is_failed = change.status is ReturnStatus.REFUND_FAILED
                details = _to_details(change.return_id, change.reason)
                if change.refund_code:
                    details["code"] = change.refund_code
                if change.amount_minor is not None:
                    details |= {"amount_minor": change.amount_minor, "currency": order.currency}
                if await append_event(
                    connection,
                    order,
                    event=_EVENTS[change.status],
                    actor=change.actor,
                    details=details,
                    occurred_at=change.occurred_at,
                    # What flags the order is the refund: a repaired workflow must not clear it.
                    **(
                        {"needs_attention": True, "workflow_failing_since": None}
                        if is_failed
                        else {}
                    ),
                ):
                    return await self._update(connection, change)
        raise ChangedMeanwhileError(change.order_id)

    async def build_refund(self, order_id: UUID, return_id: UUID) -> RefundPayment:
        """Return the refund of a received return; its actor is who received it.

        Money and units that were refunded without the return are owed no more, and left out.
        """
        async with self._engine.connect() as connection:
            order = await find_order(connection, order_id)
            return_ = (
                await connection.execute(sa.select(returns).where(returns.c.id == return_id))
            ).one()
            received_by = sa.select(events.c.actor).where(
                events.c.order_id == order_id,
                events.c.type == EventType.RETURN_RECEIVED,
                events.c.details["return_id"].astext == str(return_id),
            )
            lines, adjustments = [
                [dict(row) for row in (await connection.execute(query)).mappings()]
                for query in (
                    sa.select(table).where(table.c.order_id == order_id).order_by(table.c.position)
                    for table in (order_lines, order_adjustments)
                )
            ]
            return RefundPayment(
                order_id=order_id,
                payment_token=order.payment_token,  # type: ignore[union-attr] # a foreign key
                refund_id=return_id,
                lines=await self._list_lines(connection, return_id),
                include_shipping=return_.include_shipping,
                shares=divide_order(lines, adjustments),
                reason=return_.reason,
                actor=(await connection.execute(received_by)).scalar_one(),
                up_to_left=True,
            )

    async def list_unrefunded(self, idle_for: timedelta) -> list[RequestReturn]:
        """Return received returns that have not changed for a while, the oldest first.

        At most a hundred.
        """
        query = (
            sa.select(returns)
            .where(
                returns.c.status == ReturnStatus.RECEIVED,
                returns.c.updated_at < sa.func.now() - idle_for,
            )
            .order_by(returns.c.updated_at)
            .limit(_MAX_RESUMED)
        )
        async with self._engine.connect() as connection:
            return [
                RequestReturn(
                    order_id=row.order_id,
                    return_id=row.id,
                    lines=await self._list_lines(connection, row.id),
                    include_shipping=row.include_shipping,
                    reason=row.reason,
                    actor=row.actor,
                    fingerprint=row.fingerprint,
                )
                for row in await connection.execute(query)
            ]

    @staticmethod
    async def _find(connection: AsyncConnection, return_id: UUID) -> ReturnSnapshot | None:
        query = sa.select(
            returns.c.order_id,
            returns.c.id.label("return_id"),
            returns.c.status,
            returns.c.fingerprint,
        ).where(returns.c.id == return_id)
        row = (await connection.execute(query)).mappings().one_or_none()
        return ReturnSnapshot.model_validate(dict(row)) if row else None

    @staticmethod
    async def _count_returnable(connection: AsyncConnection, order_id: UUID) -> Counter[str | None]:
        """Return how many units of each shipped line are neither returned nor refunded by lines.

        The shipping costs are one unit of the line None. Refunds whose report has not arrived yet
        are missing: the payment service counts them when the return is refunded.
        """
        shipped = sa.select(order_lines.c.line_id, order_lines.c.quantity).where(
            order_lines.c.order_id == order_id, order_lines.c.requires_shipping
        )
        returned = (
            sa.select(return_lines.c.line_id, return_lines.c.quantity)
            .join(returns)
            .where(returns.c.order_id == order_id, returns.c.status.not_in(_WITHOUT_UNITS))
        )
        with_shipping = sa.select(sa.func.count()).where(
            returns.c.order_id == order_id,
            returns.c.status.not_in(_WITHOUT_UNITS),
            returns.c.include_shipping,
        )
        of_returns = sa.select(sa.cast(returns.c.id, sa.Text)).where(returns.c.order_id == order_id)
        refund_id = events.c.details["refund_id"].astext
        refunds = sa.select(events.c.type, refund_id, events.c.details["lines"]).where(
            events.c.order_id == order_id,
            events.c.type.in_([EventType.REFUND_REQUESTED, EventType.REFUND_FAILED]),
            refund_id.not_in(of_returns),
        )
        units: Counter[str | None] = Counter({None: 1})
        units[None] -= (await connection.execute(with_shipping)).scalar_one()
        for line_id, quantity in await connection.execute(shipped):
            units[line_id] = quantity
        for line_id, quantity in await connection.execute(returned):
            units[line_id] -= quantity
        for event, _, lines in await connection.execute(refunds):
            sign = -1 if event == EventType.REFUND_REQUESTED else 1
            for line in lines or ():
                if line["line_id"] in units:
                    units[line["line_id"]] += sign * line["quantity"]
        return units

    @staticmethod
    async def _insert(
        connection: AsyncConnection, request: RequestReturn, occurred_at: datetime
    ) -> ReturnSnapshot:
        await connection.execute(
            insert(returns).values(
                id=request.return_id,
                order_id=request.order_id,
                status=ReturnStatus.REQUESTED,
                include_shipping=request.include_shipping,
                reason=request.reason,
                actor=request.actor,
                fingerprint=request.fingerprint,
                created_at=occurred_at,
                updated_at=occurred_at,
            )
        )
        await connection.execute(
            insert(return_lines),
            [
                {"return_id": request.return_id, "position": position, **line.model_dump()}
                for position, line in enumerate(request.lines, start=1)
            ],
        )
        return ReturnSnapshot(
            order_id=request.order_id,
            return_id=request.return_id,
            status=ReturnStatus.REQUESTED,
            fingerprint=request.fingerprint,
        )

    async def _update(
        self, connection: AsyncConnection, change: ReturnTransition
    ) -> ReturnSnapshot:
        await connection.execute(
            sa.update(returns)
            .where(returns.c.id == change.return_id)
            .values(
                status=change.status,
                amount_minor=change.amount_minor,
                refund_code=change.refund_code,
                updated_at=change.occurred_at,
            )
        )
        changed = await self._find(connection, change.return_id)
        if changed is None:
            raise ChangedMeanwhileError(change.order_id)
        return changed

    @staticmethod
    async def _list_lines(connection: AsyncConnection, return_id: UUID) -> tuple[RefundLine, ...]:
        query = (
            sa.select(return_lines)
            .where(return_lines.c.return_id == return_id)
            .order_by(return_lines.c.position)
        )
        rows = (await connection.execute(query)).mappings()
        return tuple(RefundLine.model_validate(dict(row)) for row in rows)


def _list_units(request: RequestReturn) -> list[tuple[str | None, int]]:
    shipping = [(None, 1)] if request.include_shipping else []
    return [*((line.line_id, line.quantity) for line in request.lines), *shipping]


def _to_details(return_id: UUID, reason: str | None) -> dict[str, Any]:
    return {"return_id": str(return_id)} | ({"reason": reason} if reason else {})
