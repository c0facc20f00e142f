"""A dispatch service over a fake EasyPost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fake_easypost import BUYER, SENDER, TEST_KEY, FakeEasyPost
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from fuze_contracts.shipping import DeliveryStatusChanged, ParcelItem, RefreshShipment, ShipOrder
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.carrier import Carrier
from fuze_shipping.carrier.easypost.carrier import open_easypost
from fuze_shipping.carrier.settings import CarrierSettings
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.messages import Shipment
from fuze_shipping.repository import ShipmentRepository

OTHER_ADDRESS = BUYER.model_copy(update={"line1": "180 N Harbor Dr"})
SETTLE_WINDOW = timedelta(minutes=5)


@dataclass
class EasyPostHarness:
    """A dispatch service over a fake EasyPost, and a request for a shipment."""

    easypost: FakeEasyPost
    repository: ShipmentRepository
    service: DispatchService
    carrier: Carrier
    request: ShipOrder

    @property
    def shipment_id(self) -> UUID:
        return derive_shipment_id(self.request.order_id)

    async def dispatch(self, window: timedelta = SETTLE_WINDOW) -> Shipment:
        service = DispatchService(self.repository, self.carrier, window)
        return await service.dispatch(self.shipment_id, self.request)

    async def fail(self, window: timedelta = SETTLE_WINDOW) -> str | None:
        """Dispatch without success; return the error's type."""
        with pytest.raises(ApplicationError) as raised:
            await self.dispatch(window)
        return raised.value.type

    async def retry_until_done(self) -> Shipment:
        """Dispatch until it succeeds, as Temporal does."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return await self.dispatch()
                except ApplicationError:
                    await asyncio.sleep(0.02)

    async def shipment(self) -> Shipment:
        return await self.repository.get(self.shipment_id)

    async def change_address(self) -> None:
        assert await self.repository.change_address(
            self.shipment_id, self.request.order_id, OTHER_ADDRESS
        )

    async def list_dispatched(self) -> list[UUID]:
        return await self.service.list_dispatched([self.request.order_id])

    async def refresh(self, carrier_reference: str) -> DeliveryStatusChanged:
        """Process an event about a parcel that has this id at EasyPost."""
        activities = ShippingActivities(self.repository, self.service)
        event = RefreshShipment(carrier_reference=carrier_reference)
        return await ActivityEnvironment().run(activities.delivery_status_refreshed, event)


Connect = Callable[..., AbstractAsyncContextManager[EasyPostHarness]]


@asynccontextmanager
async def open_harness(
    fake: FakeEasyPost, repository: ShipmentRepository, **changes: object
) -> AsyncIterator[EasyPostHarness]:
    """Open a harness; `changes` are settings of the carrier."""
    settings = {
        "carrier": "easypost",
        "easypost_api_key": TEST_KEY,
        "easypost_api_base": fake.url,
        "easypost_from_address": SENDER,
        "easypost_unit_weight": 16,
        "carrier_timeout": timedelta(seconds=5),
    }
    items = (ParcelItem(sku="TEAPOT-1", quantity=3),)
    request = ShipOrder(order_id=uuid4(), address=BUYER, items=items)
    async with open_easypost(CarrierSettings(**(settings | changes))) as carrier:
        service = DispatchService(repository, carrier, SETTLE_WINDOW)
        yield EasyPostHarness(fake, repository, service, carrier, request)
