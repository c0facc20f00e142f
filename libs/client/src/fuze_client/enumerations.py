"""The values that the API has for states and kinds: docs/reference/states.md says what each means.

Values are only added, so one that is not listed here is passed on as it is.
"""

from typing import Literal

OrderStatus = Literal[
    "received", "awaiting_approval", "approved", "awaiting_payment_method", "paid", "preparing",
    "awaiting_address", "cancelling", "shipped", "delivered", "returned", "completed", "rejected",
    "expired", "payment_declined", "cancelled",
]  # fmt: skip
PaymentStatus = Literal[
    "none", "pending", "charged", "declined", "refunding", "partially_refunded", "refunded"
]
WaitingFor = Literal[
    "database", "approval", "payment", "payment_method", "shipping", "address", "refund", "delivery"
]
EventType = Literal[
    "order_received", "order_validated", "order_rejected", "address_changed",
    "address_change_rejected", "approval_reminder_sent", "order_approved", "order_expired",
    "order_cancelled", "payment_charged", "payment_declined", "payment_method_changed",
    "payment_abandoned", "shipping_started", "carrier_rejected_address", "order_shipped",
    "order_delivered", "order_returned", "order_completed", "cancellation_started",
    "refund_requested", "payment_refunded", "refund_failed", "payment_voided", "return_requested",
    "return_approved", "return_rejected", "return_cancelled", "return_received", "return_refunded",
    "return_refund_failed", "needs_attention", "retry_requested", "order_recovered",
]  # fmt: skip
PaymentState = Literal[
    "created", "submitted", "unknown", "under_review", "charged", "declined", "voided"
]
RefundState = Literal["created", "submitted", "unknown", "refunded", "rejected"]
LedgerAccount = Literal["provider", "sales"]
ReturnStatus = Literal[
    "requested", "approved", "rejected", "cancelled", "received", "refunded", "refund_failed"
]
AdjustmentKind = Literal["discount", "shipping", "tax", "fee"]
Execution = Literal[
    "running", "completed", "failed", "canceled", "terminated", "continued_as_new", "timed_out"
]
ActivityState = Literal["scheduled", "backing_off", "started", "paused", "cancel_requested"]
DurableUnavailable = Literal["not_recorded", "database_unavailable", "timeout"]
LiveUnavailable = Literal[
    "workflow_closed", "workflow_not_found", "no_worker", "workflow_task_failing",
    "temporal_unavailable", "timeout",
]  # fmt: skip
DiscrepancyKind = Literal[
    "unmatched_provider_charge", "duplicate_charge", "missing_capture", "amount_mismatch",
    "void_not_refunded", "missing_provider_charge", "missing_refund", "missing_provider_refund",
    "money_kept", "parcel_of_cancelled_order", "shipped_without_parcel",
]  # fmt: skip
WebhookDisabledReason = Literal["gone", "failing"]
WebhookDeliveryState = Literal["pending", "delivered", "failed"]
Scope = Literal[
    "orders:read", "orders:write", "orders:approve", "orders:operate", "payments:refund",
    "keys:manage", "webhooks:operate", "webhooks:manage",
]  # fmt: skip
Availability = Literal["ok", "unavailable"]
