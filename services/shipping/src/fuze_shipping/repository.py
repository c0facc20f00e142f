"""All SQL of the shipping service. Each method is one transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.address import Address
from fuze_contracts.shipping import DeliveryStatus, ParcelItem, ShipOrder
from fuze_shipping.carrier import Accepted, NotAttempted, Rejected
from fuze_shipping.messages import Shipment, ShipmentState
from fuze_shipping.tables import shipments

_CHANGEABLE = [ShipmentState.PREPARED, ShipmentState.REJECTED]
_UNDISPATCHED = [ShipmentState.PREPARED, ShipmentState.DISPATCHING]

# Built once: that takes longer than their execution.
_INSERT_DISPATCHING = (
    insert(shipments)
    .values(
        state=ShipmentState.DISPATCHING,
        dispatch_attempt=1,
        submitted_at=sa.func.clock_timestamp(),
    )
    .on_conflict_do_nothing()
    .returning(*shipments.c)
)
_UPDATE_DISPATCHED = (
    sa.update(shipments)
    .where(
        shipments.c.id == sa.bindparam("shipment_id", type_=sa.Uuid),
        shipments.c.state.in_(_UNDISPATCHED),
    )
    .values(
        state=ShipmentState.DISPATCHED,
        carrier=sa.bindparam("carrier", type_=sa.Text),
        tracking_number=sa.bindparam("tracking_number", type_=sa.Text),
        dispatched_at=sa.func.now(),
    )
    .returning(*shipments.c)
)


class ShipmentRepository:
    """Shipments in PostgreSQL. Each row decides the races about its shipment (ADR 9)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # A single statement needs no BEGIN and COMMIT, which are round trips of their own.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def erase_addresses(self, order_ids: Sequence[UUID]) -> int:
        """Keep no more of the shipments' addresses than the country; return how many there are."""
        country = sa.func.jsonb_build_object("country", shipments.c.address["country"])
        statement = (
            sa.update(shipments)
            .where(shipments.c.order_id.in_(order_ids), shipments.c.address.is_not(None))
            .values(address=country)
        )
        async with self._autocommit.connect() as connection:
            return (await connection.execute(statement)).rowcount

    async def begin_dispatch(self, shipment_id: UUID, request: ShipOrder) -> Shipment:
        """Commit `dispatching` before the carrier is called: nothing can be changed from then on.

        Return the shipment after that; the first request inserts it. One with a rejected address
        gets that of a request with a higher number. One that is dispatched or cancelled, or was
        rejected for this request or a later one, is returned unchanged.
        """
        async with self._autocommit.connect() as connection:
            inserted = await connection.execute(
                _INSERT_DISPATCHING,
                {
                    "id": shipment_id,
                    "order_id": request.order_id,
                    "request_number": request.number,
                    "address": request.address.model_dump(mode="json"),
                    "items": _to_json(request.items),
                },
            )
            if row := inserted.mappings().one_or_none():
                first = Shipment.model_validate(dict(row))
                return first.model_copy(update={"submitted_at": None})
        return await self._begin_again(shipment_id, request)

    async def _begin_again(self, shipment_id: UUID, request: ShipOrder) -> Shipment:
        async with self._engine.begin() as connection:
            before = await _lock(connection, shipment_id)
            changes: dict[str, Any] = {}
            is_new = request.number > before.request_number
            if before.state is ShipmentState.REJECTED and is_new:
                address = request.address.model_dump(mode="json")
                changes = {"address": address, "rejection_code": None, "carrier_reference": None}
            elif before.state not in _UNDISPATCHED:
                return before
            after = await _update(
                connection,
                shipment_id,
                state=ShipmentState.DISPATCHING,
                request_number=max(request.number, before.request_number),
                items=_to_json(request.items),  # a change of address came before them
                dispatch_attempt=before.dispatch_attempt + 1,
                submitted_at=sa.func.clock_timestamp(),
                **changes,
            )
        was_open = before.state is ShipmentState.DISPATCHING
        return after.model_copy(
            update={"may_have_been_submitted": was_open, "submitted_at": before.submitted_at}
        )

    async def record_carrier_reference(self, shipment: Shipment, reference: str) -> Shipment | None:
        """Commit the carrier's id of the parcel for the attempt that `begin_dispatch` returned.

        Return the shipment; None where a newer attempt has begun, or the shipment has an id.
        """
        recorded = (
            sa.update(shipments)
            .where(
                shipments.c.id == shipment.id,
                shipments.c.state == ShipmentState.DISPATCHING,
                shipments.c.dispatch_attempt == shipment.dispatch_attempt,
                shipments.c.carrier_reference.is_(None),
            )
            .values(carrier_reference=reference)
            .returning(shipments.c.id)
        )
        async with self._autocommit.connect() as connection:
            if (await connection.execute(recorded)).one_or_none() is None:
                return None
        return shipment.model_copy(update={"carrier_reference": reference})

    async def finish_dispatch(
        self,
        shipment: Shipment,
        result: Accepted | Rejected | NotAttempted,
        *,
        settled_after: timedelta | None = None,
    ) -> Shipment:
        """Record what came of the attempt that `begin_dispatch` returned; return the shipment.

        Acceptance is a fact, whichever attempt learns of it. A rejection is recorded only for the
        latest attempt. `NotAttempted` makes the shipment `prepared` again only for the latest
        attempt, and only where no earlier one may have been submitted: or where the carrier does
        not have the parcel `settled_after` the last one. None: the carrier was not queried.
        """
        if isinstance(result, Accepted):
            return await self._record_acceptance(shipment.id, result)
        async with self._engine.begin() as connection:
            before = await _lock(connection, shipment.id)
            is_latest = (
                before.state is ShipmentState.DISPATCHING
                and before.dispatch_attempt == shipment.dispatch_attempt
            )
            match result:
                case Rejected() if is_latest:
                    return await _update(
                        connection,
                        shipment.id,
                        state=ShipmentState.REJECTED,
                        rejection_code=result.code,
                    )
                case NotAttempted() if is_latest and not shipment.may_have_been_submitted:
                    return await _update(
                        connection, shipment.id, state=ShipmentState.PREPARED, submitted_at=None
                    )
                case NotAttempted() if is_latest and settled_after is not None:
                    given_up = await _give_up(connection, shipment, settled_after)
                    return given_up or before
                case NotAttempted() if is_latest:
                    return await _update(
                        connection, shipment.id, submitted_at=shipment.submitted_at
                    )
                case _:
                    return before

    async def _record_acceptance(self, shipment_id: UUID, result: Accepted) -> Shipment:
        async with self._autocommit.connect() as connection:
            updated = await connection.execute(
                _UPDATE_DISPATCHED,
                {
                    "shipment_id": shipment_id,
                    "carrier": result.carrier,
                    "tracking_number": result.tracking_number,
                },
            )
            if row := updated.mappings().one_or_none():
                return Shipment.model_validate(dict(row))
        return await self.get(shipment_id)

    async def cancel(self, shipment_id: UUID, order_id: UUID) -> ShipmentState:
        """Cancel the shipment, unless it is being dispatched or was; return its state after that.

        Before its first dispatch it gets a cancelled row, so that it is never dispatched.
        """
        async with self._engine.begin() as connection:
            row = {"id": shipment_id, "order_id": order_id, "state": ShipmentState.CANCELLED}
            if not await _insert(connection, row):
                await _change(
                    connection, shipment_id, state=ShipmentState.CANCELLED, rejection_code=None
                )
            return (await _lock(connection, shipment_id)).state

    async def change_address(self, shipment_id: UUID, order_id: UUID, address: Address) -> bool:
        """Change the address, unless it is too late; return whether it was changed.

        Before the first dispatch it is stored, and wins over the address of the request. After a
        rejection the shipment is prepared again: the new address was not rejected.
        """
        changes = {"state": ShipmentState.PREPARED, "address": address.model_dump(mode="json")}
        async with self._engine.begin() as connection:
            row = {"id": shipment_id, "order_id": order_id, **changes}
            return await _insert(connection, row) or await _change(
                connection, shipment_id, rejection_code=None, carrier_reference=None, **changes
            )

    async def get(self, shipment_id: UUID) -> Shipment:
        """Return the shipment.

        Raises:
            LookupError: there is no such shipment.

        """
        async with self._engine.begin() as connection:
            return await _lock(connection, shipment_id)

    async def get_id(self, carrier_reference: str) -> UUID:
        """Return the id of the shipment that the carrier has this id for.

        Raises:
            LookupError: there is no such shipment.

        """
        query = sa.select(shipments.c.id).where(shipments.c.carrier_reference == carrier_reference)
        async with self._engine.connect() as connection:
            shipment_id: UUID | None = (await connection.execute(query)).scalar_one_or_none()
        if shipment_id is None:
            raise LookupError(f"there is no shipment with the carrier's id {carrier_reference}")
        return shipment_id

    async def list_given_up(self, order_ids: Sequence[UUID]) -> list[Shipment]:
        """Return the orders' undispatched shipments that the carrier may have accepted late."""
        query = sa.select(shipments).where(
            shipments.c.order_id.in_(order_ids),
            shipments.c.given_up_at.is_not(None),
            shipments.c.state != ShipmentState.DISPATCHED,
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings()
            return [Shipment.model_validate(dict(row)) for row in rows]

    async def list_dispatched(self, order_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the orders whose parcel the carrier has."""
        query = sa.select(shipments.c.order_id).where(
            shipments.c.order_id.in_(order_ids), shipments.c.state == ShipmentState.DISPATCHED
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def record_delivery_status(
        self, shipment_id: UUID, status: DeliveryStatus
    ) -> DeliveryStatus:
        """Record how far the parcel has come; return the furthest status recorded so far.

        The carrier's events arrive in any order: the recorded status never goes back.

        Raises:
            LookupError: the shipment is not recorded as dispatched; retry.

        """
        async with self._engine.begin() as connection:
            before = await _lock(connection, shipment_id)
            if before.state is not ShipmentState.DISPATCHED:
                raise LookupError(f"shipment {shipment_id} is {before.state}, not dispatched")
            recorded = before.delivery_status or DeliveryStatus.ACCEPTED
            furthest = max(recorded, status, key=list(DeliveryStatus).index)
            await _update(connection, shipment_id, delivery_status=furthest)
            return furthest


def _to_json(items: Sequence[ParcelItem]) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json") for item in items]


async def _give_up(
    connection: AsyncConnection, shipment: Shipment, settled_after: timedelta
) -> Shipment | None:
    """Make the shipment `prepared` again if its last submission is old enough."""
    now = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    if shipment.submitted_at is not None and now - shipment.submitted_at < settled_after:
        await _update(connection, shipment.id, submitted_at=shipment.submitted_at)
        return None
    return await _update(
        connection,
        shipment.id,
        state=ShipmentState.PREPARED,
        submitted_at=None,
        given_up_at=now,
    )


async def _lock(connection: AsyncConnection, shipment_id: UUID) -> Shipment:
    query = sa.select(shipments).where(shipments.c.id == shipment_id).with_for_update()
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise LookupError(f"there is no shipment {shipment_id}")
    return Shipment.model_validate(dict(row))


async def _insert(connection: AsyncConnection, row: dict[str, Any]) -> bool:
    """Insert a shipment before its first dispatch; False where there is one."""
    # No conflict target: with one, the other unique index raises an error in a race.
    inserted = await connection.execute(insert(shipments).values(row).on_conflict_do_nothing())
    return inserted.rowcount == 1


async def _change(
    connection: AsyncConnection,
    shipment_id: UUID,
    **values: Any,  # noqa: ANN401 - column values
) -> bool:
    """Change a shipment that can still be changed; False where it is too late."""
    changed = await connection.execute(
        sa.update(shipments)
        .where(shipments.c.id == shipment_id, shipments.c.state.in_(_CHANGEABLE))
        .values(**values)
    )
    return changed.rowcount == 1


async def _update(
    connection: AsyncConnection,
    shipment_id: UUID,
    **values: Any,  # noqa: ANN401 - column values
) -> Shipment:
    query = sa.update(shipments).where(shipments.c.id == shipment_id).values(**values)
    row = (await connection.execute(query.returning(*shipments.c))).mappings().one()
    return Shipment.model_validate(dict(row))
