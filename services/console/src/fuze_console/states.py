"""How orders end, and what may be done in which status. The gateway decides; this only offers."""

from dataclasses import dataclass

OPEN_STATUSES = (
    *("received", "awaiting_approval", "approved", "awaiting_payment_method", "paid"),
    *("preparing", "awaiting_address", "cancelling"),
)
CLOSED_STATUSES = (
    *("shipped", "delivered", "completed", "returned", "rejected", "expired"),
    *("payment_declined", "cancelled"),
)
STATUSES = (*OPEN_STATUSES, *CLOSED_STATUSES)


@dataclass(frozen=True)
class End:
    """A way in which an order ends, and the statuses that it has then."""

    title: str
    tone: str
    statuses: tuple[str, ...]


ENDS = (
    End("Fulfilled", "good", ("shipped", "delivered", "completed")),
    End("In progress", "busy", tuple(one for one in OPEN_STATUSES if "awaiting" not in one)),
    End("Waiting", "wait", tuple(one for one in OPEN_STATUSES if "awaiting" in one)),
    End("Cancelled", "quiet", ("cancelled", "returned")),
    End("Rejected or declined", "bad", ("rejected", "expired", "payment_declined")),
)


@dataclass(frozen=True)
class Action:
    """What a person may do to an order.

    `statuses` are those in which it is offered, `next_in` those that wait for it.
    `takes_reason`: the API records one.
    """

    name: str
    title: str
    scope: str
    statuses: tuple[str, ...]
    explanation: str
    takes_reason: bool = False
    is_destructive: bool = False
    next_in: tuple[str, ...] = ()


_SHIPPED = ("shipped", "delivered", "completed")

ACTIONS = {
    action.name: action
    for action in (
        Action(
            "approve",
            "Approve",
            "orders:approve",
            ("awaiting_approval",),
            "The order is charged next, and shipped once it is paid.",
            next_in=("awaiting_approval",),
        ),
        Action(
            "reject",
            "Reject",
            "orders:approve",
            ("awaiting_approval",),
            "The order ends. Nothing is charged.",
            takes_reason=True,
            is_destructive=True,
        ),
        Action(
            "retry",
            "Retry now",
            "orders:operate",
            OPEN_STATUSES,
            "The failing step is tried at once. It is retried by itself, too.",
            next_in=OPEN_STATUSES,
        ),
        Action(
            "payment-method",
            "Change payment method",
            "orders:write",
            ("awaiting_payment_method",),
            "The order is charged again, with the new payment method.",
            next_in=("awaiting_payment_method",),
        ),
        Action(
            "address",
            "Change address",
            "orders:write",
            (
                *("awaiting_approval", "approved", "awaiting_payment_method", "paid"),
                *("preparing", "awaiting_address"),
            ),
            "The whole address is replaced. Once the carrier has the parcel, it is too late.",
            next_in=("awaiting_address",),
        ),
        Action(
            "refund",
            "Refund",
            "payments:refund",
            _SHIPPED,
            "The amount goes back to the payment method of the charge.",
            takes_reason=True,
            is_destructive=True,
        ),
        Action(
            "return",
            "Request return",
            "orders:write",
            _SHIPPED,
            "The goods are awaited once the return is approved, and refunded once they are back.",
            takes_reason=True,
        ),
        Action(
            "recover",
            "Recover",
            "orders:operate",
            OPEN_STATUSES,
            "The order's workflow is started again, and continues from what is recorded.",
            takes_reason=True,
            next_in=OPEN_STATUSES,
        ),
        Action(
            "cancel",
            "Cancel order",
            "orders:write",
            tuple(one for one in OPEN_STATUSES if one != "cancelling"),
            "The shipment is cancelled, and what was charged is refunded.",
            takes_reason=True,
            is_destructive=True,
        ),
    )
}

RETURN_ACTIONS = {
    action.name: action
    for action in (
        Action(
            "approve",
            "Approve return",
            "payments:refund",
            ("requested",),
            "Its goods are awaited next.",
            takes_reason=True,
        ),
        Action(
            "receive",
            "Receive goods",
            "payments:refund",
            ("approved",),
            "The goods are back. They are refunded next.",
            takes_reason=True,
        ),
        Action(
            "reject",
            "Reject return",
            "payments:refund",
            ("requested",),
            "Its units can be returned again.",
            takes_reason=True,
            is_destructive=True,
        ),
        Action(
            "cancel",
            "Cancel return",
            "orders:write",
            ("requested", "approved"),
            "Its units can be returned again.",
            takes_reason=True,
            is_destructive=True,
        ),
    )
}

WEBHOOK_ACTIONS = {
    action.name: action
    for action in (
        Action(
            "enable",
            "Enable",
            "webhooks:manage",
            ("disabled",),
            "It gets what it has not accepted, in order, failed messages included.",
        ),
        Action(
            "redeliver-failed",
            "Redeliver failed",
            "webhooks:operate",
            ("enabled",),
            "Failed messages are delivered again, with the whole schedule of attempts.",
        ),
        Action(
            "test",
            "Send test message",
            "webhooks:operate",
            ("enabled",),
            "It gets a signed message of the type webhook.test.",
        ),
        Action(
            "disable",
            "Disable",
            "webhooks:manage",
            ("enabled",),
            "It gets nothing more. Its events wait until it is enabled.",
            is_destructive=True,
        ),
    )
}
"""What may be done to a webhook endpoint."""

REDELIVER = Action(
    "redeliver",
    "Redeliver",
    "webhooks:operate",
    ("delivered", "failed"),
    "The message is delivered again. Later messages of its order wait until it is accepted.",
)
"""What may be done to a message."""
