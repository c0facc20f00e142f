"""Dispatch to the carrier, crash-safe at every await: a new attempt resumes from the row."""

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from fuze_contracts.shipping import (
    CARRIER_OUTCOME_UNKNOWN,
    CARRIER_UNAVAILABLE,
    DeliveryStatusChanged,
    ShipOrder,
)
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
    Created,
    Indeterminate,
    NotAttempted,
    NotFound,
    Rejected,
    SubmitResult,
)
from fuze_shipping.messages import Shipment, ShipmentState
from fuze_shipping.repository import ShipmentRepository


class DispatchService:
    """Dispatches shipments and tracks their delivery, over a repository and a carrier."""

    def __init__(
        self, repository: ShipmentRepository, carrier: Carrier, settle_window: timedelta
    ) -> None:
        self._repository = repository
        self._carrier = carrier
        self._settle_window = settle_window

    async def dispatch(self, shipment_id: UUID, request: ShipOrder) -> Shipment:
        """Return the shipment as it is committed: dispatched, rejected or cancelled.

        `dispatching` is committed before the carrier is called. An attempt that finds it there
        looks the shipment up before it submits again, under the same name. What the
        carrier does not have after the settle window counts as not submitted: the shipment can be
        cancelled then, or sent to another address.

        Raises:
            ApplicationError: `CARRIER_UNAVAILABLE` or `CARRIER_OUTCOME_UNKNOWN`; retry.

        """
        shipment = await self._repository.begin_dispatch(shipment_id, request)
        if shipment.state is not ShipmentState.DISPATCHING:
            return shipment
        found = await self._look_up(shipment)
        result = found or await self._submit(shipment)
        match result:
            case Accepted() | Rejected():
                return await self._repository.finish_dispatch(shipment, result)
            case NotAttempted():
                settled_after = None if found else self._settle_window
                await self._repository.finish_dispatch(
                    shipment, result, settled_after=settled_after
                )
                raise ApplicationError(result.reason, type=CARRIER_UNAVAILABLE)
            case Indeterminate():
                raise ApplicationError(result.reason, type=CARRIER_OUTCOME_UNKNOWN)
            case _:
                assert_never(result)

    async def refresh_delivery_status(self, shipment_id: UUID) -> DeliveryStatusChanged:
        """Fetch the delivery status from the carrier, and record it.

        Raises:
            LookupError: the shipment is not recorded as dispatched; retry.
            ApplicationError: `CARRIER_UNAVAILABLE` or `CARRIER_OUTCOME_UNKNOWN`; retry.

        """
        shipment = await self._repository.get(shipment_id)
        found = await self._carrier.find(shipment)
        match found:
            case Accepted():
                status = await self._repository.record_delivery_status(shipment_id, found.status)
                return DeliveryStatusChanged(order_id=shipment.order_id, status=status)
            case NotAttempted():
                raise ApplicationError(found.reason, type=CARRIER_UNAVAILABLE)
            case NotFound():
                raise ApplicationError(
                    "the carrier does not know the shipment", type=CARRIER_OUTCOME_UNKNOWN
                )
            case Indeterminate():
                raise ApplicationError(found.reason, type=CARRIER_OUTCOME_UNKNOWN)
            case _:
                assert_never(found)

    async def list_dispatched(self, order_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the orders whose parcel the carrier has.

        A shipment that counted as not submitted may have been accepted later. Where it was
        cancelled meanwhile, the parcel is cancelled, too, if the carrier can do so.

        Raises:
            ApplicationError: `CARRIER_UNAVAILABLE`; retry.

        """
        dispatched = await self._repository.list_dispatched(order_ids)
        for shipment in await self._repository.list_given_up(order_ids):
            found = await self._carrier.find(shipment)
            match found:
                case Accepted():
                    if not await self._cancel_parcel(shipment):
                        dispatched.append(shipment.order_id)
                case NotFound():
                    pass
                case NotAttempted() | Indeterminate():
                    raise ApplicationError(found.reason, type=CARRIER_UNAVAILABLE)
                case _:
                    assert_never(found)
        return dispatched

    async def _submit(self, shipment: Shipment) -> SubmitResult:
        """Submit the parcel under the one name that the row has for it.

        Where the carrier names it, an attempt submits nothing before its name is committed: of
        several attempts that created a parcel, one submits it (ADR 25).
        """
        if shipment.carrier_reference is None:
            created = await self._carrier.create(shipment)
            if isinstance(created, Created):
                named = await self._repository.record_carrier_reference(shipment, created.reference)
                if named is None:
                    return Indeterminate(reason="a newer attempt is dispatching the shipment")
                shipment = named
            elif created:
                return created
        return await self._carrier.submit(shipment)

    async def _cancel_parcel(self, shipment: Shipment) -> bool:
        """Cancel the parcel of a cancelled shipment; False where it stays."""
        if shipment.state is not ShipmentState.CANCELLED:
            return False
        is_cancelled = await self._carrier.cancel(shipment)
        activity.logger.warning(
            "carrier accepted a cancelled shipment",
            extra={"shipment_id": str(shipment.id), "is_parcel_cancelled": is_cancelled},
        )
        return is_cancelled

    async def _look_up(self, shipment: Shipment) -> Accepted | NotAttempted | Indeterminate | None:
        """Return what the carrier has of an earlier attempt; None where it has nothing."""
        if not shipment.may_have_been_submitted:
            return None
        found = await self._carrier.find(shipment)
        return None if isinstance(found, NotFound) else found
