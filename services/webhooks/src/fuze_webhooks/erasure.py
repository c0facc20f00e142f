"""Erasure of personal data from deliveries: what an endpoint has responded may repeat an event."""

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
from fuze_webhooks.tables import deliveries, endpoints

_ERASED = "erased"


class WebhookErasure(ErasureActivities):
    """Erases responses and errors; ids, states, attempts and times stay."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn
    async def personal_data_erased(self, command: ErasePersonalData) -> PersonalDataErased:
        """Erase in one transaction.

        Raises:
            ApplicationError: `OPERATIONS_OPEN`, an attempt may still record its response; retry.

        """
        of_orders = sa.and_(  # with the endpoints, there is an index
            deliveries.c.endpoint_id.in_(sa.select(endpoints.c.id)),
            deliveries.c.order_id.in_(command.order_ids),
        )
        erase = (
            sa.update(deliveries)
            .where(of_orders)
            .values(
                response_body=None,
                error=sa.case((deliveries.c.error.is_not(None), _ERASED)),
            )
        )
        is_open = sa.select(
            sa.exists().where(of_orders, deliveries.c.lease_expires_at > sa.func.now())
        )
        async with self._engine.begin() as connection:
            erased = await connection.execute(erase)
            if (await connection.execute(is_open)).scalar_one():
                raise ApplicationError("an event of the orders is being sent", type=OPERATIONS_OPEN)
        return PersonalDataErased(rows=erased.rowcount)
