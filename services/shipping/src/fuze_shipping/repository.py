"""All SQL of the shipping service. Each method is one transaction."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_shipping.carrier import Acceptance
from fuze_shipping.messages import PreparePackage
from fuze_shipping.tables import shipments


class ShipmentRepository:
    """Shipments in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def prepare(self, command: PreparePackage) -> None:
        """Insert the shipment, unless it is there already."""
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(shipments)
                .values(
                    id=command.shipment_id,
                    order_id=command.order.order_id,
                    state="prepared",
                    address=command.order.address.model_dump(mode="json"),
                    items=[item.model_dump(mode="json") for item in command.order.items],
                    prepared_at=command.occurred_at,
                )
                .on_conflict_do_nothing()
            )

    async def dispatched(self, shipment_id: UUID, acceptance: Acceptance) -> None:
        """Write that the carrier has the parcel, once; it gives a repeat the same answer."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(shipments)
                .where(shipments.c.id == shipment_id, shipments.c.state == "prepared")
                .values(
                    state="dispatched",
                    carrier=acceptance.carrier,
                    tracking_number=acceptance.tracking_number,
                    dispatched_at=sa.func.now(),
                )
            )
