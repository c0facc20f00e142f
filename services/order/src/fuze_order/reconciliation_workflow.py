"""The workflow that compares orders with Temporal, payments and shipments; a schedule starts it."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from fuze_contracts.order_states import OrderStatus
from fuze_contracts.payment import ChargePayment
from fuze_order import service_calls
from fuze_order.activities import ReconciliationActivities, ReturnActivities
from fuze_order.messages import (
    CompareOpenOrders,
    DiscrepancyKind,
    EndedOrder,
    EndedOrdersPage,
    OrderDiscrepancy,
    ReconcileOrders,
    ReconcileOrdersResult,
    RecordDiscrepancies,
    ResumeReturns,
)
from fuze_order.service_calls import ATTEMPT_TIMEOUT, RETRIES
from fuze_runtime.versioning import AUTO_UPGRADE

_REFUND_TIMEOUT = timedelta(minutes=2)
_COMPARISON_TIMEOUT = timedelta(minutes=10)
_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
_NOT_SOLD = {
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
    OrderStatus.PAYMENT_DECLINED,
    OrderStatus.CANCELLED,
}
_WITHOUT_PARCEL = {*_NOT_SOLD, OrderStatus.COMPLETED}
_WITHOUT_MONEY = {*_NOT_SOLD, OrderStatus.RETURNED}


@workflow.defn(versioning_behavior=AUTO_UPGRADE)
class ReconcileOrdersWorkflow:
    """Find orders that no workflow, payment or shipment agrees with; repair what is clear."""

    @workflow.run
    async def run(self, command: ReconcileOrders) -> ReconcileOrdersResult:
        """Return what was compared, repaired and found."""
        page, result = command.page, command.result
        if page is None or result is None:
            result = await self._compare_open_orders(command.idle_for)
            await self._resume_returns(command.idle_for)
            # However old they are, so that one that is resolved outside is resolved here.
            result = await self._compare_ended_orders(await self._list_discrepant(), result)
            page = EndedOrdersPage(
                changed_from=self._start(command.look_back), changed_before=result.compared_until
            )
        while orders := await self._list_ended(page):
            result = await self._compare_ended_orders(orders, result)
            page = page.following(orders[-1])
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(
                    command.model_copy(update={"page": page, "result": result})
                )
        workflow.set_current_details(
            f"missing: {result.open.missing}, repaired: {result.repaired}, "
            f"discrepancies: {result.discrepancies}"
        )
        return result

    def _start(self, look_back: timedelta) -> datetime:
        """Return where the last run ended, less the look-back: a late payment is seen, too."""
        last = workflow.get_last_completion_result(ReconcileOrdersResult)
        return (last.compared_until if last else workflow.now()) - look_back

    async def _compare_open_orders(self, idle_for: timedelta) -> ReconcileOrdersResult:
        compared = await workflow.execute_activity_method(
            ReconciliationActivities.open_orders_compared,
            CompareOpenOrders(idle_for=idle_for),
            start_to_close_timeout=_COMPARISON_TIMEOUT,
            heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            retry_policy=RETRIES,
            summary="compare open orders with their workflows",
        )
        return ReconcileOrdersResult(compared_until=workflow.now() - idle_for, open=compared)

    @staticmethod
    async def _resume_returns(idle_for: timedelta) -> None:
        await workflow.execute_activity_method(
            ReturnActivities.returns_resumed,
            ResumeReturns(idle_for=idle_for),
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            retry_policy=RETRIES,
            summary="resume received returns",
        )

    async def _list_discrepant(self) -> tuple[EndedOrder, ...]:
        return tuple(
            await workflow.execute_activity_method(
                ReconciliationActivities.discrepant_orders_listed,
                start_to_close_timeout=ATTEMPT_TIMEOUT,
                retry_policy=RETRIES,
                summary="list orders with open discrepancies",
            )
        )

    async def _list_ended(self, page: EndedOrdersPage) -> tuple[EndedOrder, ...]:
        return tuple(
            await workflow.execute_activity_method(
                ReconciliationActivities.ended_orders_listed,
                page,
                start_to_close_timeout=ATTEMPT_TIMEOUT,
                retry_policy=RETRIES,
                summary="list orders that have ended",
            )
        )

    async def _compare_ended_orders(
        self, orders: tuple[EndedOrder, ...], so_far: ReconcileOrdersResult
    ) -> ReconcileOrdersResult:
        if not orders:
            return so_far
        kept = await service_calls.list_kept_charges(
            [one.order_id for one in orders if one.status in _WITHOUT_MONEY]
        )
        dispatched = await service_calls.list_dispatched([one.order_id for one in orders])
        found = [await self._refund(charge) for charge in kept]
        for one in orders:
            has_parcel = one.order_id in dispatched
            if has_parcel and one.status in _WITHOUT_PARCEL:
                kind = DiscrepancyKind.PARCEL_OF_CANCELLED_ORDER
            elif not has_parcel and one.status not in _WITHOUT_PARCEL:
                kind = DiscrepancyKind.SHIPPED_WITHOUT_PARCEL
            else:
                continue
            found.append(
                OrderDiscrepancy(
                    order_id=one.order_id, kind=kind, details={"status": one.status.value}
                )
            )
        await workflow.execute_activity_method(
            ReconciliationActivities.discrepancies_recorded,
            RecordDiscrepancies(
                order_ids=tuple(one.order_id for one in orders), found=tuple(found)
            ),
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            retry_policy=RETRIES,
            summary="record discrepancies",
        )
        repaired = sum(one.is_repaired for one in found)
        return so_far.model_copy(
            update={
                "ended_orders": so_far.ended_orders + len(orders),
                "repaired": so_far.repaired + repaired,
                "discrepancies": so_far.discrepancies + len(found) - repaired,
            }
        )

    async def _refund(self, charge: ChargePayment) -> OrderDiscrepancy:
        """Refund what is kept of an order without a parcel: the payment service sends it once.

        One refund that fails must not prevent the others: it stays a discrepancy, until the next
        comparison tries again.
        """
        try:
            await service_calls.void_payment(
                charge, _REFUND_TIMEOUT, reason="the order has ended without a shipment"
            )
        except ActivityError as error:
            workflow.logger.warning("kept money is not refunded yet", exc_info=error)
            is_repaired = False
        else:
            is_repaired = True
        return OrderDiscrepancy(
            order_id=charge.order_id,
            kind=DiscrepancyKind.MONEY_KEPT,
            is_repaired=is_repaired,
            details={"payment_token": charge.payment_token, "amount": str(charge.amount)},
        )
