"""Erasure of personal data from payments and refunds."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from fuze_contracts.erasure import (
    OPERATIONS_OPEN,
    ErasePersonalData,
    ErasureActivities,
    PersonalDataErased,
)
from fuze_payment.domain import PaymentState, RefundState
from fuze_payment.tables import payments, refunds

_OPEN_PAYMENTS = [state.value for state in PaymentState if not state.is_settled]
_OPEN_REFUNDS = [state.value for state in RefundState if not state.is_settled]
_VIA = " via "


class PaymentErasure(ErasureActivities):
    """Erases what identifies a person; amounts and the provider's references stay."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn
    async def personal_data_erased(self, command: ErasePersonalData) -> PersonalDataErased:
        """Erase in one transaction.

        Raises:
            ApplicationError: `OPERATIONS_OPEN`; retry.

        """
        ids = list(command.order_ids)
        own = sa.select(payments.c.id).where(payments.c.order_id.in_(ids))
        is_open = sa.select(
            sa.exists().where(payments.c.order_id.in_(ids), payments.c.state.in_(_OPEN_PAYMENTS))
            | sa.exists().where(
                refunds.c.payment_id.in_(own),
                refunds.c.state.in_(_OPEN_REFUNDS) | ~refunds.c.is_reported,
            )
        )
        async with self._engine.begin() as connection:
            if (await connection.execute(is_open)).scalar_one():
                raise ApplicationError(
                    "a payment or refund of the orders is not settled", type=OPERATIONS_OPEN
                )
            erased = await connection.execute(
                sa.update(payments).where(payments.c.order_id.in_(ids)).values(payment_method=None)
            )
            actor = refunds.c.actor
            await connection.execute(
                sa.update(refunds)
                .where(refunds.c.payment_id.in_(own))
                .values(
                    reason=None,
                    fingerprint=None,
                    actor=_replace_actor(actor, command),
                )
            )
            return PersonalDataErased(rows=erased.rowcount)


def _replace_actor(
    actor: sa.ColumnElement[str], command: ErasePersonalData
) -> sa.ColumnElement[str]:
    """Replace the customer in `customer`, `customer via shop` and `clerk via customer`."""
    first = sa.func.split_part(actor, _VIA, 1)
    rest = sa.func.substr(actor, sa.func.length(first) + len(_VIA) + 1)
    return _replace(first, command) + sa.case(
        (first == actor, ""), else_=sa.literal(_VIA) + _replace(rest, command)
    )


def _replace(name: sa.ColumnElement[str], command: ErasePersonalData) -> sa.ColumnElement[str]:
    return sa.case((name.in_(command.names), command.pseudonym), else_=name)
