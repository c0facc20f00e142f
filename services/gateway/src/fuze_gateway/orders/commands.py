"""The commands to an order, each once: update, signal and bulk endpoints are made of this table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

from fuze_contracts.order import (
    ALREADY_CANCELLED,
    TOO_LATE_TO_CANCEL,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    OrderSignal,
    OrderWorkflow,
    RejectOrder,
    RetryOrder,
)
from fuze_contracts.order_states import OrderStatus
from fuze_gateway.auth.principals import Principal, Scope
from fuze_gateway.orders.schemas.commands import (
    ApproveOrderRequest,
    ApproveOrdersRequest,
    BulkRequest,
    CancelOrderRequest,
    CancelOrdersRequest,
    ChangeAddressRequest,
    ChangePaymentMethodRequest,
    CommandRequest,
    RejectOrderRequest,
    RetryOrderRequest,
)
from fuze_gateway.orders.workflow_client import MessageT, SignalMethod, Update
from fuze_gateway.problems import registry
from fuze_gateway.problems.registry import ProblemType


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The OpenAPI texts of one endpoint."""

    operation_id: str
    summary: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The asynchronous form of a command: `POST /orders/{order_id}/signals/{path}`."""

    path: Literal["approve", "cancel", "change-address"]
    name: OrderSignal
    method: SignalMethod[Any]
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """The command to many orders: `POST /orders/bulk/{path}`."""

    path: str
    request: type[BulkRequest]
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class OrderCommand(Generic[MessageT]):
    """A command to an order: `{method} /orders/{order_id}/{path}`."""

    method: Literal["POST", "PUT"]
    path: str
    operation: Operation
    request: type[CommandRequest]
    message: type[MessageT]
    update: Update[MessageT]
    scope: Scope
    problems: tuple[ProblemType, ...]
    """Why the order may reject it."""
    rejected_after: Mapping[OrderStatus, str] = field(default_factory=dict)
    """Why an order that ended with a status rejects it: an error type from contracts."""
    signal: Signal | None = None
    bulk: Bulk | None = None

    @property
    def needs_body(self) -> bool:
        """Whether the request has a required field."""
        return any(field.is_required() for field in self.request.model_fields.values())

    def to_message(self, request: CommandRequest | None, principal: Principal) -> MessageT:
        """Return the message to the workflow: the request's fields, and the caller as actor."""
        fields = request.to_message_fields() if request else {}
        actor = principal.actor_name(request.actor if request else None)
        if "caller" in self.message.model_fields:
            fields["caller"] = principal.id
        return self.message(**fields, actor=actor)


COMMANDS: tuple[OrderCommand[Any], ...] = (
    OrderCommand(
        method="POST",
        path="approve",
        operation=Operation(
            operation_id="approveOrder",
            summary="Approve an order",
            description="Approve an order that is waiting for approval. It is charged next.",
        ),
        request=ApproveOrderRequest,
        message=ApproveOrder,
        update=OrderWorkflow.approve_order,
        scope=Scope.ORDERS_APPROVE,
        problems=(
            registry.ALREADY_APPROVED,
            registry.NOT_AWAITING_APPROVAL,
            registry.APPROVER_PLACED_ORDER,
        ),
        signal=Signal(
            path="approve",
            name=OrderSignal.APPROVE,
            method=OrderWorkflow.approve,
            operation=Operation(
                operation_id="approveOrderAsync",
                summary="Approve an order asynchronously",
                description="Send an approval to the order. It is refused where it could have no"
                " effect; what comes of it is in the order's status.",
            ),
        ),
        bulk=Bulk(
            path="approve",
            request=ApproveOrdersRequest,
            operation=Operation(
                operation_id="approveOrders",
                summary="Approve many orders",
                description="Approve up to 500 orders. The response has a result for each order.",
            ),
        ),
    ),
    OrderCommand(
        method="POST",
        path="reject",
        operation=Operation(
            operation_id="rejectOrder",
            summary="Reject an order",
            description="Reject an order that is waiting for approval. The order ends.",
        ),
        request=RejectOrderRequest,
        message=RejectOrder,
        update=OrderWorkflow.reject_order,
        scope=Scope.ORDERS_APPROVE,
        problems=(registry.NOT_AWAITING_APPROVAL,),
    ),
    OrderCommand(
        method="POST",
        path="cancel",
        operation=Operation(
            operation_id="cancelOrder",
            summary="Cancel an order",
            description="Cancel an order whose shipment is not being dispatched yet. Its payment is"
            " voided or refunded. The response does not wait for that: the status is `cancelling`"
            " until every compensation is complete.",
        ),
        request=CancelOrderRequest,
        message=CancelOrder,
        update=OrderWorkflow.cancel_order,
        scope=Scope.ORDERS_WRITE,
        problems=(registry.ALREADY_CANCELLED, registry.TOO_LATE_TO_CANCEL),
        rejected_after={
            OrderStatus.CANCELLED: ALREADY_CANCELLED,
            OrderStatus.SHIPPED: TOO_LATE_TO_CANCEL,
            OrderStatus.DELIVERED: TOO_LATE_TO_CANCEL,
            OrderStatus.COMPLETED: TOO_LATE_TO_CANCEL,
        },
        signal=Signal(
            path="cancel",
            name=OrderSignal.CANCEL,
            method=OrderWorkflow.cancel,
            operation=Operation(
                operation_id="cancelOrderAsync",
                summary="Cancel an order asynchronously",
                description="Send a cancellation to the order. It is refused where it could have"
                " no effect; once the shipment is being dispatched it has none.",
            ),
        ),
        bulk=Bulk(
            path="cancel",
            request=CancelOrdersRequest,
            operation=Operation(
                operation_id="cancelOrders",
                summary="Cancel many orders",
                description="Cancel up to 500 orders. The response has a result for each order.",
            ),
        ),
    ),
    OrderCommand(
        method="PUT",
        path="address",
        operation=Operation(
            operation_id="changeAddress",
            summary="Change the delivery address of an order",
            description="Change the delivery address of an order whose shipment is not being"
            " dispatched yet.",
        ),
        request=ChangeAddressRequest,
        message=ChangeAddress,
        update=OrderWorkflow.change_order_address,
        scope=Scope.ORDERS_WRITE,
        problems=(
            registry.TOO_LATE_TO_CHANGE_ADDRESS,
            registry.ADDRESS_CHANGE_LIMIT,
            registry.ADDRESS_NEEDS_APPROVAL,
            registry.ADDRESS_INVALID,
        ),
        signal=Signal(
            path="change-address",
            name=OrderSignal.CHANGE_ADDRESS,
            method=OrderWorkflow.change_address,
            operation=Operation(
                operation_id="changeAddressAsync",
                summary="Change the delivery address of an order asynchronously",
                description="Send a new delivery address to the order. It is refused where it"
                " could have no effect; once the shipment is being dispatched it has none.",
            ),
        ),
    ),
    OrderCommand(
        method="PUT",
        path="payment-method",
        operation=Operation(
            operation_id="changePaymentMethod",
            summary="Change the payment method of an order",
            description="Replace a declined payment method. The order is charged again at once.",
        ),
        request=ChangePaymentMethodRequest,
        message=ChangePaymentMethod,
        update=OrderWorkflow.change_payment_method,
        scope=Scope.ORDERS_WRITE,
        problems=(registry.NOT_AWAITING_PAYMENT_METHOD,),
    ),
    OrderCommand(
        method="POST",
        path="retry",
        operation=Operation(
            operation_id="retryOrder",
            summary="Retry the failing step of an order",
            description="Retry the failing step now, without waiting for its next attempt.",
        ),
        request=RetryOrderRequest,
        message=RetryOrder,
        update=OrderWorkflow.retry_step,
        scope=Scope.ORDERS_OPERATE,
        problems=(registry.NOTHING_TO_RETRY,),
    ),
)
