"""The order service's activities: one activity, one transaction."""

from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from fuze_contracts.address import Address
from fuze_contracts.order import (
    ORDER_ID_TAKEN,
    ORDER_REJECTED,
    ORDER_TASK_QUEUE,
    PlaceOrder,
)
from fuze_contracts.order_refunds import RefundReport, RefundReportActivities
from fuze_contracts.order_states import EventType
from fuze_contracts.payment import RefundPayment
from fuze_contracts.returns import (
    ORDER_NOT_RETURNABLE,
    RequestReturnOutcome,
    ReturnSnapshot,
    ReturnStatus,
    ReturnWorkflow,
)
from fuze_contracts.workflow_ids import return_workflow_id
from fuze_order import validation
from fuze_order.messages import (
    CompareOpenOrders,
    EndedOrder,
    EndedOrdersPage,
    InsertFailure,
    OpenOrdersResult,
    OrderValidation,
    ReceiveOrder,
    RecordDiscrepancies,
    RecordReturn,
    RecordTransitions,
    ResumeReturns,
    ReturnTransition,
    Transition,
)
from fuze_runtime.heartbeats import heartbeats

if TYPE_CHECKING:  # the workflow imports this module, and must not reach a database driver
    from fuze_order.reconciliation import OpenOrderComparison
    from fuze_order.reconciliation_repository import ReconciliationRepository
    from fuze_order.refund_repository import RefundEventRepository
    from fuze_order.repository import OrderRepository
    from fuze_order.return_repository import ReturnRepository


class OrderActivities:
    """The steps of OrderWorkflow in PostgreSQL.

    Each is idempotent: repeated with the same argument, it stores nothing twice.
    """

    def __init__(self, repository: "OrderRepository", rules: validation.OrderRules) -> None:
        self._repository = repository
        self._rules = rules

    @activity.defn
    async def validate_order(self, order: PlaceOrder) -> OrderValidation:
        """Return the rules that the order violates. Nothing is stored."""
        return OrderValidation(violations=validation.find_violations(order, self._rules))

    @activity.defn
    async def order_received(self, command: ReceiveOrder) -> Transition:
        """Store the order and its first events, and return what is committed.

        That is the validation's outcome; of an order whose workflow was reset, it is the latest
        transition.

        Raises:
            ApplicationError: `ORDER_ID_TAKEN`, final: an older order has this id; or
                `ORDER_REJECTED`, final: PostgreSQL cannot store its values.

        """
        order_id = command.order.order_id
        match await self._repository.create(command):
            case Transition() as committed:
                return committed
            case InsertFailure.ID_TAKEN:
                raise ApplicationError(
                    f"order id {order_id} is taken; place the order under a new id",
                    type=ORDER_ID_TAKEN,
                    non_retryable=True,
                )
            case InsertFailure.INVALID_VALUES:
                raise ApplicationError(
                    f"order {order_id} has values that cannot be stored, such as a NUL",
                    type=ORDER_REJECTED,
                    non_retryable=True,
                )

    @activity.defn
    async def address_validated(self, address: Address) -> bool:
        """Say whether the address keeps the validation."""
        return not validation.check_address(address, self._rules)

    @activity.defn
    async def transitions_recorded(self, command: RecordTransitions) -> Transition:
        """Record events with the row that they lead to, and return the last one committed.

        In place of an invalid address the event `address_change_rejected` is recorded.
        """
        return await self._repository.record(
            *(validation.reject_invalid_address(one, self._rules) for one in command.transitions)
        )


class RefundReportActivitiesImpl(RefundReportActivities):
    """What the payment service reports about refunds."""

    def __init__(self, repository: "RefundEventRepository") -> None:
        self._repository = repository

    @activity.defn
    async def refund_recorded(self, report: RefundReport) -> None:
        """Record the event in the order, whether its workflow runs or has ended."""
        is_new = await self._repository.record(report)
        if is_new and report.type in {EventType.REFUND_FAILED, EventType.NEEDS_ATTENTION}:
            _count_attention("refund")


class ReturnActivities:
    """The steps of ReturnWorkflow in PostgreSQL. Each is idempotent."""

    def __init__(self, repository: "ReturnRepository") -> None:
        self._repository = repository

    @activity.defn
    async def return_requested(self, command: RecordReturn) -> RequestReturnOutcome:
        """Store the return unless it is stored already; return it as it is committed."""
        return await self._repository.request(command.request, command.occurred_at)

    @activity.defn
    async def return_changed(self, change: ReturnTransition) -> ReturnSnapshot:
        """Change the return's status, where that is possible; return what is committed.

        Raises:
            ApplicationError: `ORDER_NOT_RETURNABLE`, final.

        """
        committed = await self._repository.change(change)
        if committed is None:
            raise ApplicationError(
                "the carrier has returned the parcel; cancel the return",
                type=ORDER_NOT_RETURNABLE,
                non_retryable=True,
            )
        if change.status is committed.status is ReturnStatus.REFUND_FAILED:
            _count_attention("return")
        return committed

    @activity.defn
    async def return_refund_built(self, received: ReturnSnapshot) -> RefundPayment:
        """Return the refund of a received return."""
        return await self._repository.build_refund(received.order_id, received.return_id)

    @activity.defn
    async def returns_resumed(self, command: ResumeReturns) -> int:
        """Start the workflow of each return that is received and not refunded; count them.

        Its workflow may have been terminated or deleted. One that runs is left alone.
        """
        unrefunded = await self._repository.list_unrefunded(command.idle_for)
        for request in unrefunded:
            await activity.client().start_workflow(
                ReturnWorkflow.run,
                request,
                id=return_workflow_id(request.order_id, request.return_id),
                task_queue=ORDER_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary="refund a received return",
            )
        activity.logger.info("returns resumed", extra={"outcome": len(unrefunded)})
        return len(unrefunded)


class ReconciliationActivities:
    """The activities of ReconcileOrdersWorkflow."""

    def __init__(
        self, repository: "ReconciliationRepository", comparison: "OpenOrderComparison"
    ) -> None:
        self._repository = repository
        self._comparison = comparison

    @activity.defn
    async def open_orders_compared(self, command: CompareOpenOrders) -> OpenOrdersResult:
        """Flag open orders whose workflow is missing or fails."""
        async with heartbeats():
            result = await self._comparison.compare(activity.client(), command.idle_for)
        activity.logger.info("open orders compared", extra={"outcome": result.model_dump()})
        return result

    @activity.defn
    async def ended_orders_listed(self, page: EndedOrdersPage) -> list[EndedOrder]:
        """Return the next orders that have ended."""
        return await self._repository.list_ended(page)

    @activity.defn
    async def discrepant_orders_listed(self) -> list[EndedOrder]:
        """Return the orders with open discrepancies."""
        return await self._repository.list_discrepant()

    @activity.defn
    async def discrepancies_recorded(self, command: RecordDiscrepancies) -> None:
        """Store what was found, and resolve what was not found again."""
        await self._repository.record(command)


def _count_attention(step: str) -> None:
    activity.metric_meter().create_counter(
        "fuze_steps_needing_attention_total", "Steps that kept failing for too long"
    ).add(1, {"step": step})
