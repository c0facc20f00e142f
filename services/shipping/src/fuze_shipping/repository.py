"""All SQL of the shipping service. Each method is one transaction."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.shipping import Address, DeliveryStatus
from fuze_shipping.carrier import Accepted, Refused
from fuze_shipping.messages import PrepareShipment, Shipment, ShipmentState
from fuze_shipping.tables import shipments

_CHANGEABLE = [ShipmentState.PREPARED, ShipmentState.REJECTED]
_OPEN = [ShipmentState.PREPARED, ShipmentState.DISPATCHING]


class ShipmentRepository:
    """Shipments in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def prepare(self, command: PrepareShipment) -> None:
        """Insert the shipment; one whose address was refused gets the new address.

        One that is being handed over, or was called off, stays as it is.
        """
        order = command.order
        address = order.address.model_dump(mode="json")
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(shipments)
                .values(
                    id=command.shipment_id,
                    order_id=order.order_id,
                    state=ShipmentState.PREPARED,
                    address=address,
                    items=[item.model_dump(mode="json") for item in order.items],
                    prepared_at=command.occurred_at,
                )
                .on_conflict_do_update(
                    constraint="shipments_pkey",
                    set_={
                        "state": ShipmentState.PREPARED,
                        "address": address,
                        "rejection_code": None,
                    },
                    where=shipments.c.state == ShipmentState.REJECTED,
                )
            )

    async def begin_hand_over(self, shipment_id: UUID) -> Shipment:
        """Write that the carrier is about to be asked: from here on nothing can be changed.

        Returns the shipment as it is then; one that has its outcome already is left alone.
        """
        async with self._engine.begin() as connection:
            before = await self._locked(connection, shipment_id)
            if before.state not in _OPEN:
                return before
            await connection.execute(
                sa.update(shipments)
                .where(shipments.c.id == shipment_id)
                .values(
                    state=ShipmentState.DISPATCHING,
                    dispatch_attempt=shipments.c.dispatch_attempt + 1,
                )
            )
        return before.model_copy(
            update={
                "state": ShipmentState.DISPATCHING,
                "dispatch_attempt": before.dispatch_attempt + 1,
                "may_be_there": before.state is ShipmentState.DISPATCHING,
            }
        )

    async def end_hand_over(self, shipment: Shipment, answer: Accepted | Refused | None) -> None:
        """Write the carrier's answer; None where it surely never got the parcel.

        The truth is taken from whoever brings it. That nothing happened is only true of the latest
        attempt, and only where no earlier one may have reached the carrier.
        """
        row = shipments.c.id == shipment.id
        being_handed_over = shipments.c.state == ShipmentState.DISPATCHING
        latest = shipments.c.dispatch_attempt == shipment.dispatch_attempt
        match answer:
            case Accepted():
                where = row & shipments.c.state.in_(_OPEN)
                values = {
                    "state": ShipmentState.DISPATCHED,
                    "carrier": answer.carrier,
                    "tracking_number": answer.tracking_number,
                    "dispatched_at": sa.func.now(),
                }
            case Refused():
                where = row & being_handed_over & latest
                values = {"state": ShipmentState.REJECTED, "rejection_code": answer.code}
            case _ if shipment.may_be_there:
                return
            case _:
                where = row & being_handed_over & latest
                values = {"state": ShipmentState.PREPARED}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(shipments).where(where).values(**values))

    async def call_off(self, shipment_id: UUID, order_id: UUID) -> ShipmentState:
        """Release the package, unless it is being handed over; return the state it is in then.

        A shipment that nobody has prepared gets its row here, so that nobody hands it over.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(shipments)
                .values(
                    id=shipment_id,
                    order_id=order_id,
                    state=ShipmentState.CANCELLED,
                    prepared_at=sa.func.now(),
                )
                .on_conflict_do_update(
                    constraint="shipments_pkey",
                    set_={"state": ShipmentState.CANCELLED, "rejection_code": None},
                    where=shipments.c.state.in_(_CHANGEABLE),
                )
            )
            query = sa.select(shipments.c.state).where(shipments.c.id == shipment_id)
            return ShipmentState((await connection.execute(query)).scalar_one())

    async def readdress(self, shipment_id: UUID, address: Address) -> bool:
        """Change where it goes, unless it is being handed over; say whether it was not.

        Raises:
            LookupError: it is not prepared yet; ask again.

        """
        async with self._engine.begin() as connection:
            before = await self._locked(connection, shipment_id)
            if before.state not in _CHANGEABLE:
                return False
            await connection.execute(
                sa.update(shipments)
                .where(shipments.c.id == shipment_id)
                .values(address=address.model_dump(mode="json"))
            )
        return True

    async def get(self, shipment_id: UUID) -> Shipment:
        """Return the shipment.

        Raises:
            LookupError: there is none.

        """
        async with self._engine.begin() as connection:
            return await self._locked(connection, shipment_id)

    async def track(self, shipment: Shipment, state: DeliveryStatus) -> DeliveryStatus:
        """Write how far the parcel has come, and return how far it is known to have.

        Events come in any order: what is written only ever goes forward.

        Raises:
            LookupError: it is not known here yet that the carrier has it; ask again.

        """
        async with self._engine.begin() as connection:
            before = await self._locked(connection, shipment.id)
            if before.state is not ShipmentState.DISPATCHED:
                raise LookupError(f"shipment {shipment.id} is not dispatched")
            known = before.delivery_status or DeliveryStatus.ACCEPTED
            further = max(known, state, key=list(DeliveryStatus).index)
            await connection.execute(
                sa.update(shipments)
                .where(shipments.c.id == shipment.id)
                .values(delivery_status=further)
            )
            return further

    @staticmethod
    async def _locked(connection: AsyncConnection, shipment_id: UUID) -> Shipment:
        query = sa.select(shipments).where(shipments.c.id == shipment_id).with_for_update()
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise LookupError(f"there is no shipment {shipment_id}")
        return Shipment.model_validate(dict(row))
