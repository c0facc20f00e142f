"""What ShippingWorkflow says to the activities of its own service."""

from datetime import datetime
from uuid import UUID

from fuze_contracts.shipping import ShipOrder
from fuze_contracts.wire import Message


class PreparePackage(Message):
    """Write the shipment of an order, once."""

    shipment_id: UUID
    order: ShipOrder
    occurred_at: datetime


class DispatchPackage(Message):
    """Hand the prepared package to the carrier, once."""

    shipment_id: UUID
    order: ShipOrder
