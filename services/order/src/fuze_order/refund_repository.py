"""All SQL about the refunds of an order. Each method is one transaction."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.order_refunds import RefundReport
from fuze_contracts.order_states import EventType, PaymentStatus
from fuze_order.event_log import (
    MAX_ATTEMPTS,
    ChangedMeanwhileError,
    OrderRow,
    append_event,
    find_order,
)
from fuze_order.tables import events
from fuze_order.transitions import is_failure_left, payment_status_after_refund

_DETAILS = {"refund_id", "reason", "provider_reference", "code", "last_error", "lines"}


class RefundEventRepository:
    """The events of requested refunds, whether the order's workflow runs or has ended."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(self, report: RefundReport) -> bool:
        """Insert the event and update the order's row; return False if the event was there already.

        Raises:
            LookupError: the order does not exist, or changes too often; to be retried.

        """
        for _ in range(MAX_ATTEMPTS):
            async with self._engine.begin() as connection:
                order = await find_order(connection, report.order_id)
                if order is None:
                    break
                if await self._is_recorded(connection, report):
                    return False
                if await self._record_next(connection, report, order):
                    return True
        raise ChangedMeanwhileError(report.order_id)

    @staticmethod
    async def _is_recorded(connection: AsyncConnection, report: RefundReport) -> bool:
        query = sa.select(events.c.seq).where(
            events.c.order_id == report.order_id,
            events.c.type == report.type,
            events.c.details["refund_id"].astext == str(report.refund_id),
        )
        return (await connection.execute(query)).first() is not None

    async def _record_next(
        self, connection: AsyncConnection, report: RefundReport, order: OrderRow
    ) -> bool:
        """Return False where the order's workflow, or another refund, took the number."""
        payment_status = PaymentStatus(order.payment_status)
        needs_attention: bool = order.needs_attention
        failing_since: datetime | None = order.workflow_failing_since
        match report.type:
            case EventType.PAYMENT_REFUNDED:
                refunded_minor = await self._sum_refunded(connection, report)
                payment_status = payment_status_after_refund(
                    payment_status,
                    refunded_minor + report.amount.amount_minor,
                    order.total_minor,
                )
                is_owed = payment_status is not PaymentStatus.REFUNDED
                needs_attention = order.workflow_missing_at is not None or (
                    needs_attention and is_owed and await self._is_failure_left(connection, report)
                )
            case EventType.REFUND_FAILED | EventType.NEEDS_ATTENTION:
                # What flags the order is the refund: a workflow that is repaired must not clear it.
                needs_attention, failing_since = True, None
            case EventType.REFUND_REQUESTED:
                pass
        return await append_event(
            connection,
            order,
            event=report.type,
            actor=report.actor,
            details=_to_details(report),
            occurred_at=report.occurred_at,
            payment_status=payment_status,
            needs_attention=needs_attention,
            workflow_failing_since=failing_since,
        )

    @staticmethod
    async def _is_failure_left(connection: AsyncConnection, report: RefundReport) -> bool:
        refund_id = sa.func.coalesce(
            events.c.details["refund_id"].astext, events.c.details["return_id"].astext
        )
        query = (
            sa.select(events.c.type, refund_id)
            .where(events.c.order_id == report.order_id)
            .order_by(events.c.seq)
        )
        history = [(EventType(event), of) for event, of in await connection.execute(query)]
        return is_failure_left([*history, (report.type, str(report.refund_id))])

    @staticmethod
    async def _sum_refunded(connection: AsyncConnection, report: RefundReport) -> int:
        amount = sa.cast(events.c.details["amount_minor"].astext, sa.BigInteger)
        query = sa.select(sa.func.coalesce(sa.func.sum(amount), 0)).where(
            events.c.order_id == report.order_id, events.c.type == EventType.PAYMENT_REFUNDED
        )
        return int((await connection.execute(query)).scalar_one())


def _to_details(report: RefundReport) -> dict[str, Any]:
    details = report.model_dump(mode="json", include=_DETAILS)
    if report.type is EventType.NEEDS_ATTENTION:
        details["step"] = "refund"
    return {name: value for name, value in details.items() if value not in (None, [])} | {
        "amount": str(report.amount),
        **report.amount.model_dump(),
    }
