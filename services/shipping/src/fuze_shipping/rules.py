"""The shipping service's decisions. Pure."""

from uuid import NAMESPACE_URL, UUID, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/shipments")


def shipment_id(order_id: UUID) -> UUID:
    """Name the one shipment of an order; the carrier gets it as its idempotency key."""
    return uuid5(_NAMESPACE, str(order_id))
