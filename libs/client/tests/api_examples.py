"""Responses of the API, as short as they can be."""

from typing import Any

ORDER_ID = "123e4567-e89b-12d3-a456-426614174000"
RETURN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ENDPOINT_ID = "0b8f1a52-3f53-4d5e-9a58-6a3f5a1c9e11"
TIME = "2026-01-05T10:00:00Z"
NOTHING_MINOR = {f"{name}_minor": 0 for name in ("discount", "shipping", "tax", "fee")}

COMMAND: dict[str, Any] = {
    "order_id": ORDER_ID,
    "status": "approved",
    "payment_status": "pending",
    "last_seq": 3,
    "reason": None,
    "tracking_number": None,
    "needs_attention": False,
}
ACCEPTED = {
    "order_id": ORDER_ID,
    "workflow_id": f"order/{ORDER_ID}",
    "status": "received",
    "status_url": f"/orders/{ORDER_ID}/status",
}
SUMMARY: dict[str, Any] = NOTHING_MINOR | {
    "subtotal_minor": 5997,
    "total_minor": 5997,
    "order_id": ORDER_ID,
    "status": "awaiting_approval",
    "payment_status": "none",
    "reason": None,
    "reference": None,
    "customer": "ada@example.com",
    "customer_email": None,
    "customer_name": None,
    "currency": "USD",
    "tracking_number": None,
    "needs_attention": False,
    "workflow_missing_at": None,
    "workflow_failing_since": None,
    "created_at": TIME,
    "updated_at": TIME,
}


def list_of_orders(*customers: str, cursor: str | None = None) -> dict[str, Any]:
    """Return a page with an order of each customer."""
    return {"orders": [SUMMARY | {"customer": one} for one in customers], "next": cursor}


def event(seq: int, status: str = "approved") -> dict[str, Any]:
    return {
        "seq": seq,
        "type": "order_approved",
        "status": status,
        "payment_status": "pending",
        "actor": "grace",
        "details": {},
        "occurred_at": TIME,
    }


def endpoint(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a webhook endpoint that works."""
    return {
        "endpoint_id": ENDPOINT_ID,
        "url": "https://shop.example/webhooks",
        "event_types": [],
        "description": "the shop",
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "needs_attention": False,
        "created_at": TIME,
        "updated_at": TIME,
    } | changes


def delivery(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a message that an endpoint has not accepted yet."""
    return {
        "message_id": "evt_1_3",
        "order_id": ORDER_ID,
        "seq": 3,
        "event_type": "order_approved",
        "state": "pending",
        "attempts": 2,
        "next_attempt_at": TIME,
        "last_attempted_at": TIME,
        "response_status": 503,
        "response_body": "later",
        "error": "the endpoint responded 503",
        "is_blocked": False,
        "created_at": TIME,
        "delivered_at": None,
    } | changes
