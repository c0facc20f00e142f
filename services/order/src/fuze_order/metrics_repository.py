"""The numbers of orders that the metrics show, from indexes of open and flagged orders."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_order.tables import discrepancies, orders
from fuze_runtime.metrics import Reading

_IS_WAITING = orders.c.status == OrderStatus.AWAITING_APPROVAL
_IS_UNRESOLVED = sa.and_(
    orders.c.status.in_([OrderStatus.APPROVED, OrderStatus.CANCELLING]),
    orders.c.payment_status.in_([PaymentStatus.PENDING, PaymentStatus.REFUNDING]),
)


def _seconds_since(column: sa.ColumnElement[object]) -> sa.ColumnElement[float]:
    age = sa.func.extract("epoch", sa.func.now() - sa.func.min(column))
    return sa.func.coalesce(age, 0)


def _count(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).where(*conditions).scalar_subquery()


_WAITING = (
    sa.select(
        sa.func.count().label("waiting"),
        _seconds_since(orders.c.created_at).label("oldest_waiting"),
    )
    .where(_IS_WAITING)
    .subquery()
)
_UNRESOLVED = (
    sa.select(
        sa.func.count().label("unresolved"),
        _seconds_since(orders.c.updated_at).label("oldest_unresolved"),
    )
    .where(_IS_UNRESOLVED)
    .subquery()
)
_QUERY = sa.select(
    _WAITING,
    _UNRESOLVED,
    _count(orders.c.needs_attention).label("needing_attention"),
    _count(orders.c.needs_attention, orders.c.workflow_missing_at.is_not(None)).label("missing"),
    _count(orders.c.workflow_failing_since.is_not(None)).label("failing"),
    sa.select(sa.func.count(discrepancies.c.order_id.distinct()))
    .where(discrepancies.c.resolved_at.is_(None))
    .scalar_subquery()
    .label("discrepant"),
).select_from(_WAITING.join(_UNRESOLVED, sa.true()))


class OrderMetricsRepository:
    """Counts orders."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self) -> Sequence[Reading]:
        """Return the gauges of orders."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_QUERY)).one()
        return [
            Reading("fuze_approvals_waiting", "Orders that await approval", row.waiting),
            Reading(
                "fuze_approvals_oldest_age_seconds",
                "Age of the oldest order that awaits approval",
                float(row.oldest_waiting),
            ),
            Reading(
                "fuze_payments_unresolved",
                "Orders with a charge or a refund whose outcome is not known yet",
                row.unresolved,
            ),
            Reading(
                "fuze_payments_oldest_unresolved_age_seconds",
                "How long the oldest of them is unresolved",
                float(row.oldest_unresolved),
            ),
            Reading(
                "fuze_orders_needing_attention", "Orders that need attention", row.needing_attention
            ),
            Reading(
                "fuze_orders_without_workflow", "Open orders whose workflow is missing", row.missing
            ),
            Reading(
                "fuze_orders_with_failing_workflow",
                "Orders whose workflow task keeps failing",
                row.failing,
            ),
            Reading(
                "fuze_orders_with_discrepancies",
                "Orders that the payments or the shipments contradict",
                row.discrepant,
            ),
        ]
