"""A shipment's life, from top to bottom."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from fuze_contracts import shipping as contract
from fuze_contracts.shipping import ShipOrder, Shipped, ShippingStatus, ShippingStep
from fuze_runtime.steps import local_first, to_the_end
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.messages import DispatchPackage, PreparePackage
from fuze_shipping.rules import shipment_id

_DISPATCH_ATTEMPT_TIMEOUT = timedelta(seconds=30)
# Without a limit: a carrier that is down for a day delays the parcel by a day, no more.
_DISPATCH_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


@workflow.defn
class ShippingWorkflow(contract.ShippingWorkflow):
    """Prepare an order's package and hand it to the carrier, however long the carrier is away.

    The order is paid when this starts, so it is finished even when asked to cancel.
    """

    @workflow.init
    def __init__(self, command: ShipOrder) -> None:
        self._order = command
        self._shipment_id = shipment_id(command.order_id)
        self._step = ShippingStep.PREPARING
        self._since = workflow.now()

    @workflow.run
    async def run(self, command: ShipOrder) -> Shipped:
        """Return once the carrier has accepted the parcel."""
        del command  # held since __init__, where the query needs it
        return await to_the_end(self._ship(), asked_to_cancel=self._refuse_to_cancel)

    async def _ship(self) -> Shipped:
        await self._prepare()
        shipped = await self._dispatch()
        self._enter(ShippingStep.SHIPPED)
        workflow.logger.info("shipped", extra={"step": self._step})
        return shipped

    async def _prepare(self) -> None:
        await local_first(
            ShippingActivities.package_prepared,
            PreparePackage(
                shipment_id=self._shipment_id, order=self._order, occurred_at=workflow.now()
            ),
            summary="package prepared",
        )

    async def _dispatch(self) -> Shipped:
        self._enter(ShippingStep.DISPATCHING)
        return await workflow.execute_activity_method(
            ShippingActivities.carrier_dispatched,
            DispatchPackage(shipment_id=self._shipment_id, order=self._order),
            start_to_close_timeout=_DISPATCH_ATTEMPT_TIMEOUT,
            retry_policy=_DISPATCH_RETRIES,
            summary="hand the parcel to the carrier",
        )

    @workflow.query
    def status(self) -> ShippingStatus:
        """Say where the shipment stands now."""
        return ShippingStatus(order_id=self._order.order_id, step=self._step, since=self._since)

    def _enter(self, step: ShippingStep) -> None:
        self._step, self._since = step, workflow.now()
        workflow.set_current_details(str(step))

    def _refuse_to_cancel(self) -> None:
        workflow.logger.warning("a paid order is shipped; the cancellation is refused")
