"""What the checker reads of the shipping service: `shipping.shipments`, which has no view."""

QUERIES = {"shipments": "SELECT order_id, state FROM shipping.shipments"}
