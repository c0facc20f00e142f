"""A hand-over, from its claim to its end; every line may be the last one that a process runs."""

from typing import assert_never
from uuid import UUID

from temporalio.exceptions import ApplicationError

from fuze_contracts.shipping import DeliveryStatusChanged
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
    HandOverAnswer,
    NotFound,
    NotTaken,
    Refused,
    Tracked,
    Unclear,
)
from fuze_shipping.messages import Shipment, ShipmentState
from fuze_shipping.repository import ShipmentRepository


class Dispatching:
    """Write that the carrier is about to be asked, ask, write the answer.

    Whatever is cut off leaves a row that says so, and the next attempt looks the shipment up before
    it asks again, with the same key.
    """

    def __init__(self, repository: ShipmentRepository, carrier: Carrier) -> None:
        self._repository = repository
        self._carrier = carrier

    async def hand_over(self, shipment_id: UUID) -> Shipment:
        """Return the shipment with its outcome: dispatched, refused or called off.

        Raises:
            ApplicationError: to be retried; the carrier is away, or did not say.

        """
        shipment = await self._repository.begin_hand_over(shipment_id)
        if shipment.state is not ShipmentState.DISPATCHING:
            return shipment
        answer = await self._ask(shipment)
        match answer:
            case Accepted():
                await self._repository.end_hand_over(shipment, answer)
                return _settled(shipment, ShipmentState.DISPATCHED, **answer.model_dump())
            case Refused():
                await self._repository.end_hand_over(shipment, answer)
                return _settled(shipment, ShipmentState.REJECTED, rejection_code=answer.code)
            case NotTaken():
                await self._repository.end_hand_over(shipment, None)
                raise ApplicationError(answer.why, type="CarrierAway")
            case Unclear():
                raise ApplicationError(answer.why, type="CarrierUnclear")
            case _:
                assert_never(answer)

    async def track(self, shipment_id: UUID) -> DeliveryStatusChanged:
        """Ask the carrier how far the parcel has come, and write it.

        Raises:
            LookupError: it is not known here yet that the carrier has it; to be retried.
            ApplicationError: the carrier is away, or did not say; to be retried.

        """
        shipment = await self._repository.get(shipment_id)
        answer = await self._carrier.track(shipment)
        if not isinstance(answer, Tracked):
            raise ApplicationError(f"the carrier does not say: {answer!r}", type="CarrierUnclear")
        further = await self._repository.track(shipment, answer.state)
        return DeliveryStatusChanged(order_id=shipment.order_id, status=further)

    async def _ask(self, shipment: Shipment) -> HandOverAnswer:
        if shipment.may_be_there:
            found = await self._carrier.find(shipment)
            if not isinstance(found, NotFound):
                return found
        return await self._carrier.accept(shipment)


def _settled(shipment: Shipment, state: ShipmentState, **columns: str) -> Shipment:
    return shipment.model_copy(update={"state": state, **columns})
