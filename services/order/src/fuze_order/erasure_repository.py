"""All SQL of an erasure in the order service. Each method is one transaction."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.erasure import ErasePersonalData
from fuze_contracts.order import SYSTEM_ACTORS
from fuze_contracts.order_states import PaymentStatus
from fuze_contracts.returns import ReturnStatus
from fuze_order.messages import CustomerOrders, EraseCustomer
from fuze_order.tables import (
    OPEN_AFTER_SHIPMENT_PREDICATE,
    TERMINAL_PREDICATE,
    orders,
    returns,
)

_ERASED = "erased"
_OPEN_RETURNS = (ReturnStatus.REQUESTED, ReturnStatus.APPROVED, ReturnStatus.RECEIVED)


class ErasureRepository:
    """A customer's personal data in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def list_open(self, customer: str) -> Sequence[UUID]:
        """Return the customer's orders that have not ended, with their refunds and returns."""
        has_open_return = sa.exists().where(
            returns.c.order_id == orders.c.id, returns.c.status.in_(_OPEN_RETURNS)
        )
        query = sa.select(orders.c.id).where(
            orders.c.customer == customer,
            sa.or_(
                sa.text(f"NOT ({TERMINAL_PREDICATE})"),
                sa.text(f"({OPEN_AFTER_SHIPMENT_PREDICATE})"),
                orders.c.payment_status == PaymentStatus.REFUNDING,
                has_open_return,
            ),
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalars().all()

    async def find(self, command: EraseCustomer) -> CustomerOrders:
        """Return the customer's orders and names."""
        query = sa.select(orders.c.id, orders.c.customer_email, orders.c.customer_name).where(
            orders.c.customer == command.customer
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        names = {command.customer, *command.names}
        names |= {name for row in rows for name in (row.customer_email, row.customer_name) if name}
        return CustomerOrders(
            order_ids=tuple(row.id for row in rows), names=tuple(sorted(names - SYSTEM_ACTORS))
        )

    async def erase(self, command: ErasePersonalData) -> int:
        """Erase orders, returns and events; return how many events there are.

        The service's role cannot change an event but through this function of its schema.
        """
        ids, names = list(command.order_ids), list(command.names)
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(orders)
                .where(orders.c.id.in_(ids))
                .values(
                    customer=None,
                    customer_email=None,
                    customer_name=None,
                    metadata={},
                    fingerprint=_ERASED,
                    payment_method=None,
                    owner=_replace(orders.c.owner, names, command.pseudonym),
                    reason=sa.case((orders.c.reason.is_not(None), _ERASED)),
                    address=_keep_country(orders.c.address),
                    billing_address=_keep_country(orders.c.billing_address),
                )
            )
            await connection.execute(
                sa.update(returns)
                .where(returns.c.order_id.in_(ids))
                .values(
                    reason=None,
                    fingerprint=None,
                    actor=sa.func.orders.replace_actor(
                        returns.c.actor, _to_array(names), command.pseudonym
                    ),
                )
            )
            erased = sa.func.orders.erase_events(
                sa.cast(ids, sa.ARRAY(sa.Uuid)), _to_array(names), command.pseudonym
            )
            return int((await connection.execute(sa.select(erased))).scalar_one())


def _replace(
    column: sa.Column[str | None], names: list[str], pseudonym: str
) -> sa.ColumnElement[str | None]:
    return sa.case((column.in_(names), pseudonym), else_=column)


def _keep_country(column: sa.Column[object]) -> sa.ColumnElement[object]:
    country = sa.func.jsonb_build_object("country", column["country"])
    return sa.case((column.is_not(None), country))


def _to_array(names: list[str]) -> sa.Cast[object]:
    return sa.cast(names, sa.ARRAY(sa.Text))
