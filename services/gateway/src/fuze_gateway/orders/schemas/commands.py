"""Request and response models of the commands to an order."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from pydantic.config import JsonDict

from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_gateway.orders.schemas.addresses import (
    EXAMPLE_ADDRESS,
    CompleteAddressRequest,
    keep_spelling,
    normalize_addresses,
)
from fuze_gateway.orders.schemas.orders import example
from fuze_gateway.problems import errors
from fuze_gateway.types import EXAMPLE_ORDER_ID, ActorName, LongText, Name, OrderId, RequestModel

_ORDER: JsonDict = {
    "order_id": EXAMPLE_ORDER_ID,
    "status": "approved",
    "payment_status": "pending",
    "last_seq": 3,
    "reason": None,
    "tracking_number": None,
    "needs_attention": False,
}

Reason = Annotated[LongText | None, Field(examples=["changed my mind"])]


class CommandRequest(RequestModel):
    """The fields of every command."""

    actor: ActorName | None = Field(
        None,
        description="The person on whose behalf the caller acts; recorded in the event.",
        examples=["grace"],
    )

    def to_message_fields(self) -> dict[str, Any]:
        """Return the fields of the message to the order, without its actor.

        Raises:
            RequestValidationError: a field is invalid for a reason that its type cannot check.

        """
        return self.model_dump(exclude={"actor", "order_ids"})


class ApproveOrderRequest(CommandRequest):
    """Approval of an order."""

    model_config = example(actor="grace")


class RejectOrderRequest(CommandRequest):
    """Rejection of an order that is waiting for approval."""

    model_config = example(actor="grace", reason="out of stock")

    reason: Reason = None


class CancelOrderRequest(CommandRequest):
    """Cancellation of an order."""

    model_config = example(actor="ada", reason="changed my mind")

    reason: Reason = None


class RecoverOrderRequest(CommandRequest):
    """Recovery of an order whose workflow is missing."""

    model_config = example(actor="grace")

    then: Literal["continue", "cancel"] = Field(
        "continue", description="Continue the order, or cancel it with everything undone."
    )
    reason: Reason = None


class ChangeAddressRequest(CommandRequest):
    """A whole new delivery address: what it does not have is removed from the order.

    Whatever `FUZE_ADDRESS_RULES` is, it must have all that its country requires, and a recipient:
    a name or a company.
    """

    model_config = example(
        address={name: text for name, text in EXAMPLE_ADDRESS.items() if text}, actor="ada"
    )

    address: CompleteAddressRequest

    def to_message_fields(self) -> dict[str, Any]:
        """Return the normalised address, and the caller's spelling of it.

        Raises:
            RequestValidationError: the address is not whole, or does not keep its country's rules.

        """
        addresses, wrong = normalize_addresses(
            {"address": self.address}, "deliverable", needs_recipient=True
        )
        if wrong:
            raise errors.invalid_fields(wrong)
        entered = keep_spelling(self.address, addresses["address"])
        return addresses | {"entered_address": entered}


class ChangePaymentMethodRequest(CommandRequest):
    """A new payment method: the payment provider's id of it."""

    model_config = example(payment_method="pm_card_visa")

    payment_method: Name


class RetryOrderRequest(CommandRequest):
    """An immediate retry of the failing step."""

    model_config = example(actor="grace")


def _reject_duplicates(order_ids: list[UUID]) -> list[UUID]:
    if len(set(order_ids)) < len(order_ids):
        raise ValueError("must not contain duplicates")
    return order_ids


OrderIds = Annotated[
    list[OrderId],
    Field(min_length=1, max_length=500, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_reject_duplicates),
]


class BulkRequest(CommandRequest):
    """The orders of a bulk command."""

    order_ids: OrderIds


class ApproveOrdersRequest(BulkRequest):
    """Approval of many orders."""

    model_config = example(order_ids=[EXAMPLE_ORDER_ID], actor="grace")


class CancelOrdersRequest(BulkRequest):
    """Cancellation of many orders, for one reason."""

    model_config = example(order_ids=[EXAMPLE_ORDER_ID], reason="the shop is closed")

    reason: Reason = None


class RecoverOrdersRequest(BulkRequest, RecoverOrderRequest):
    """Recovery of many orders whose workflow is missing."""

    model_config = example(order_ids=[EXAMPLE_ORDER_ID], actor="grace")


class CommandResponse(BaseModel):
    """The order after the command."""

    model_config = example(**_ORDER)

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    last_seq: int
    reason: str | None
    tracking_number: str | None
    needs_attention: bool


class SignalResponse(BaseModel):
    """The signal was accepted. Its effect shows in the order's status and events."""

    model_config = example(
        order_id=EXAMPLE_ORDER_ID,
        accepted=True,
        signal="approve",
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
    )

    order_id: UUID
    accepted: Literal[True] = True
    signal: Literal["approve", "cancel", "change-address"]
    status_url: str


class ProblemSummary(BaseModel):
    """The problem of one order of a bulk command."""

    type: str
    title: str
    status: int
    detail: str


class BulkResult(BaseModel):
    """The result for one order: the order after the command, or a problem."""

    order_id: UUID
    order: CommandResponse | None
    problem: ProblemSummary | None


class BulkResponse(BaseModel):
    """The result for each order, in the order of the request."""

    model_config = example(
        results=[{"order_id": EXAMPLE_ORDER_ID, "order": _ORDER, "problem": None}],
        succeeded=1,
        failed=0,
    )

    results: list[BulkResult]
    succeeded: int
    failed: int
