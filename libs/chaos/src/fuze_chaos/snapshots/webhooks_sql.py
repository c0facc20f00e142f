"""What the checker reads of the webhooks service: its published views.

A row is an event at an endpoint that wants it, whether it is queued or not.
"""

_DELIVERIES = """
FROM webhooks.published_endpoints e
JOIN orders.published_events v
  ON cardinality(e.event_types) = 0 OR v.type = ANY(e.event_types)
LEFT JOIN webhooks.published_deliveries d
  ON d.endpoint_id = e.endpoint_id AND d.order_id = v.order_id AND d.seq = v.seq
"""

QUERIES = {
    "deliveries": "SELECT v.order_id, v.seq, v.type, e.endpoint_id::text, e.is_enabled,"
    f" d.state, d.error, d.next_attempt_at > now() AS is_scheduled {_DELIVERIES}"
    " ORDER BY v.order_id, e.endpoint_id, v.seq",
}

UNDELIVERED = (
    f"SELECT count(*) {_DELIVERIES}"  # noqa: S608 - a constant
    " WHERE e.is_enabled AND d.state IS DISTINCT FROM 'delivered'"
)
