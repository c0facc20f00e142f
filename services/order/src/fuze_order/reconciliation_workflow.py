"""The workflow that compares orders with Temporal, payments and shipments; a schedule starts it."""

from datetime import datetime, timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from fuze_contracts.base import Message
from fuze_contracts.order import OrderStatus
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    ChargePayment,
    ListKeptCharges,
    PaymentActivities,
    VoidPayment,
)
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE, ListDispatchedOrders, ShipmentActivities
from fuze_order.activities import ReconciliationActivities
from fuze_order.messages import (
    CompareOpenOrders,
    DiscrepancyKind,
    EndedOrder,
    EndedOrdersPage,
    OpenOrdersResult,
    OrderDiscrepancy,
    RecordDiscrepancies,
)

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_REFUND_TIMEOUT = timedelta(minutes=2)
_COMPARISON_TIMEOUT = timedelta(minutes=10)
_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)
_WITHOUT_PARCEL = {
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
    OrderStatus.PAYMENT_DECLINED,
    OrderStatus.CANCELLED,
}
_WITHOUT_MONEY = {*_WITHOUT_PARCEL, OrderStatus.RETURNED}


class ReconcileOrdersResult(Message):
    """What was compared. The next run starts where this one ended."""

    compared_until: datetime
    open: OpenOrdersResult
    ended_orders: int = 0
    repaired: int = 0
    discrepancies: int = 0


@workflow.defn
class ReconcileOrdersWorkflow:
    """Find orders that no workflow, payment or shipment agrees with; repair what is clear."""

    @workflow.run
    async def run(self, look_back: timedelta, idle_for: timedelta) -> ReconcileOrdersResult:
        """Return what was compared, repaired and found."""
        result = await self._compare_open_orders(idle_for)
        page = EndedOrdersPage(
            changed_from=self._start(look_back), changed_before=result.compared_until
        )
        while orders := await self._list_ended(page):
            found = await self._compare_ended_orders(orders)
            repaired = sum(one.is_repaired for one in found)
            result = result.model_copy(
                update={
                    "ended_orders": result.ended_orders + len(orders),
                    "repaired": result.repaired + repaired,
                    "discrepancies": result.discrepancies + len(found) - repaired,
                }
            )
            page = page.model_copy(update={"after": orders[-1].order_id})
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
            retry_policy=_RETRIES,
            summary="compare open orders with their workflows",
        )
        return ReconcileOrdersResult(compared_until=workflow.now() - idle_for, open=compared)

    async def _list_ended(self, page: EndedOrdersPage) -> tuple[EndedOrder, ...]:
        return tuple(
            await workflow.execute_activity_method(
                ReconciliationActivities.ended_orders_listed,
                page,
                start_to_close_timeout=_ATTEMPT_TIMEOUT,
                retry_policy=_RETRIES,
                summary="list orders that have ended",
            )
        )

    async def _compare_ended_orders(
        self, orders: tuple[EndedOrder, ...]
    ) -> tuple[OrderDiscrepancy, ...]:
        kept = await self._list_kept_charges(
            [one.order_id for one in orders if one.status in _WITHOUT_MONEY]
        )
        dispatched = await self._list_dispatched([one.order_id for one in orders])
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
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="record discrepancies",
        )
        return tuple(found)

    async def _list_kept_charges(self, order_ids: list[UUID]) -> tuple[ChargePayment, ...]:
        if not order_ids:
            return ()
        listed = await workflow.execute_activity_method(
            PaymentActivities.kept_charges_listed,
            ListKeptCharges(order_ids=tuple(order_ids)),
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="list kept charges",
        )
        return listed.charges

    async def _list_dispatched(self, order_ids: list[UUID]) -> set[UUID]:
        listed = await workflow.execute_activity_method(
            ShipmentActivities.dispatched_orders_listed,
            ListDispatchedOrders(order_ids=tuple(order_ids)),
            task_queue=SHIPPING_TASK_QUEUE,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="list dispatched orders",
        )
        return set(listed.order_ids)

    async def _refund(self, charge: ChargePayment) -> OrderDiscrepancy:
        """Refund what is kept of an order without a parcel: the payment service sends it once.

        One refund that fails must not prevent the others: it stays a discrepancy, until the next
        comparison tries again.
        """
        try:
            await workflow.execute_activity_method(
                PaymentActivities.payment_voided,
                VoidPayment(charge=charge, reason="the order has ended without a shipment"),
                task_queue=PAYMENT_TASK_QUEUE,
                start_to_close_timeout=_ATTEMPT_TIMEOUT,
                schedule_to_close_timeout=_REFUND_TIMEOUT,
                retry_policy=_RETRIES,
                summary=f"refund {charge.amount}",
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
