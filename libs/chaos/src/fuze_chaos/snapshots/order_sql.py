"""What the checker reads of the order service: its published views, and all discrepancies.

The view of discrepancies has only those that are not resolved, so this file depends on
`orders.discrepancies`.
"""

QUERIES = {
    "orders": "SELECT * FROM orders.published_orders",
    "events": "SELECT * FROM orders.published_events ORDER BY order_id, seq",
    "returns": "SELECT * FROM orders.published_returns ORDER BY order_id, created_at",
    "order_discrepancies": "SELECT order_id, kind, details FROM orders.discrepancies",
}

FINISHED_ORDERS = """
SELECT order_id::text FROM orders.published_orders
WHERE payment_status <> 'refunding' AND status = ANY($1)
  -- While its delivery is tracked, a shipped order is not finished.
  AND (status <> 'shipped' OR coalesce(tracking_deadline, now()) <= now())
"""

OPEN_ORDERS = """
SELECT order_id::text FROM orders.published_orders
WHERE status <> ALL($1) OR payment_status = 'refunding' OR tracking_deadline > now()
ORDER BY order_id
"""

ORDERS_WITH_SHIPMENT = """
SELECT order_id::text FROM orders.published_orders
WHERE status <> ALL($1) AND status IN ('preparing', 'cancelling')
ORDER BY order_id
"""

ORDER = "SELECT * FROM orders.published_orders WHERE order_id = $1::text::uuid"
