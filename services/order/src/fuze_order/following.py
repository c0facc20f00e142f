"""A parcel on its way, where the order is to know how that ends."""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

from fuze_contracts.order import EventType, OrderStatus, WaitingFor
from fuze_contracts.shipping import DeliveryStatus
from fuze_order.progress import OrderProgress


async def follow(
    progress: OrderProgress, how_long: timedelta, parcel: Callable[[], DeliveryStatus | None]
) -> None:
    """Wait until the parcel has arrived or has come back, or for as long as the order is to."""
    deadline = workflow.now() + how_long
    while progress.status is OrderStatus.SHIPPED:
        in_time = await progress.wait_until(parcel, WaitingFor.DELIVERY, deadline)
        match parcel():
            case DeliveryStatus.DELIVERED:
                await progress.record(EventType.ORDER_DELIVERED, actor="carrier")
            case DeliveryStatus.RETURNED:
                await progress.record(
                    EventType.ORDER_RETURNED, actor="carrier", reason="the parcel came back"
                )
            case _ if not in_time:
                return
            case _:
                pass
