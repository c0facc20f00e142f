"""Dispatch to the carrier, crash-safe at every await: a new attempt resumes from the row."""

from typing import assert_never
from uuid import UUID

from temporalio.exceptions import ApplicationError

from fuze_contracts.shipping import (
    CARRIER_OUTCOME_UNKNOWN,
    CARRIER_UNAVAILABLE,
    DeliveryStatusChanged,
)
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
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

    def __init__(self, repository: ShipmentRepository, carrier: Carrier) -> None:
        self._repository = repository
        self._carrier = carrier

    async def dispatch(self, shipment_id: UUID) -> Shipment:
        """Return the shipment as it is committed: dispatched, rejected or cancelled.

        `dispatching` is committed before the carrier is called. An attempt that finds it there
        looks the shipment up before it submits again, with the same idempotency key.

        Raises:
            LookupError: the shipment is not prepared; retry.
            ApplicationError: `CARRIER_UNAVAILABLE` or `CARRIER_OUTCOME_UNKNOWN`; retry.

        """
        shipment = await self._repository.begin_dispatch(shipment_id)
        if shipment.state is not ShipmentState.DISPATCHING:
            return shipment
        result = await self._submit_once(shipment)
        match result:
            case Accepted() | Rejected():
                return await self._repository.finish_dispatch(shipment, result)
            case NotAttempted():
                await self._repository.finish_dispatch(shipment, result)
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

    async def _submit_once(self, shipment: Shipment) -> SubmitResult:
        if shipment.may_have_been_submitted:
            found = await self._carrier.find(shipment)
            if not isinstance(found, NotFound):
                return found
        return await self._carrier.submit(shipment)
