"""The shipping service: prepares an order's shipment and dispatches it to the carrier."""
