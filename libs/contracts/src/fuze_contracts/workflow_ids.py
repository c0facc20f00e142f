"""Workflow ids: every kind of workflow, and how its id is built.

An id names the business object that the workflow works for, so that Temporal refuses a second one.
Kinds that belong to one order have the order's id as their second part: `order/{order_id}`,
`shipping/{order_id}`, `refund/{order_id}/{refund_id}`, `return/{order_id}/{return_id}`. Webhook
workflows are named by the object of the event, so that it has one at a time:
`payment-webhook/{payment_id}`, `carrier-webhook/{shipment_id}`, or the carrier's own id of it. An
endpoint of outgoing webhooks has `webhook-endpoint/{endpoint_id}`.
"""

from uuid import UUID

_KINDS_OF_ONE_ORDER = {"order", "shipping", "refund", "return"}


def order_workflow_id(order_id: UUID) -> str:
    """Return the id of the one workflow that owns this order."""
    return f"order/{order_id}"


def shipping_workflow_id(order_id: UUID) -> str:
    """Return the id of the one workflow that ships this order."""
    return f"shipping/{order_id}"


def refund_workflow_id(order_id: UUID, refund_id: UUID) -> str:
    """Return the id of the one workflow that executes this refund."""
    return f"refund/{order_id}/{refund_id}"


def return_workflow_id(order_id: UUID, return_id: UUID) -> str:
    """Return the id of the one workflow that processes this return."""
    return f"return/{order_id}/{return_id}"


def payment_webhook_workflow_id(payment_id: UUID) -> str:
    """Return the id of the one workflow that refreshes this payment at a time."""
    return f"payment-webhook/{payment_id}"


def carrier_webhook_workflow_id(shipment_id: UUID | str) -> str:
    """Return the id of the one workflow that refreshes this shipment at a time."""
    return f"carrier-webhook/{shipment_id}"


def webhook_endpoint_workflow_id(endpoint_id: UUID) -> str:
    """Return the id of the one workflow that delivers events to this endpoint."""
    return f"webhook-endpoint/{endpoint_id}"


def parse_order_id(workflow_id: str) -> str | None:
    """Return the order that a workflow belongs to, or None where it belongs to no single order."""
    kind, _, rest = workflow_id.partition("/")
    order_id = rest.partition("/")[0]
    return order_id if kind in _KINDS_OF_ONE_ORDER and order_id else None


def workflow_log_fields(workflow_id: str) -> dict[str, str]:
    """Return the fields that each log line of a workflow has beside the workflow's id."""
    order_id = parse_order_id(workflow_id)
    return {"order_id": order_id} if order_id else {}
