"""Dispatch through faults of the carrier: one parcel, whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from fuze_contracts.address import Address
from fuze_contracts.shipping import (
    CARRIER_OUTCOME_UNKNOWN,
    CARRIER_UNAVAILABLE,
    DeliveryStatus,
    FindDeliveryStatus,
    ParcelItem,
    ShipOrder,
)
from fuze_sandbox.store import SandboxStore
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.carrier import Accepted, NotAttempted
from fuze_shipping.carrier.sandbox import SandboxCarrier
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.messages import Shipment, ShipmentState
from fuze_shipping.repository import ShipmentRepository

ADDRESS = Address(country="US", postal_code="10001")


@pytest.fixture
def requested() -> ShipOrder:
    return ShipOrder(
        order_id=uuid4(), address=ADDRESS, items=(ParcelItem(sku="TEAPOT-1", quantity=3),)
    )


def id_of(request: ShipOrder) -> UUID:
    return derive_shipment_id(request.order_id)


@pytest.fixture
async def unreachable_carrier() -> AsyncIterator[SandboxCarrier]:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9/carrier/", trust_env=False) as client:
        yield SandboxCarrier(client, timeout=5)


async def retry_until_done(service: DispatchService, request: ShipOrder) -> Shipment:
    """Retry as Temporal does; a non-retryable error is raised."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await service.dispatch(id_of(request), request)
            except ApplicationError as error:
                if error.non_retryable:
                    raise
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("response_dropped", CARRIER_OUTCOME_UNKNOWN),
        ("delayed_commit", CARRIER_OUTCOME_UNKNOWN),
        ("error_once", CARRIER_OUTCOME_UNKNOWN),
        ("rate_limited", CARRIER_UNAVAILABLE),
    ],
)
async def test_a_faulty_carrier_gets_one_parcel(
    dispatch_service: DispatchService,
    sandbox: httpx.AsyncClient,
    requested: ShipOrder,
    fault: str,
    error: str,
) -> None:
    profile = {"faults": {fault: 1}, "commit_delay_seconds": 0.2}
    await sandbox.put("/control/carrier", json=profile)
    with pytest.raises(ApplicationError) as raised:
        await dispatch_service.dispatch(id_of(requested), requested)

    shipment = await retry_until_done(dispatch_service, requested)

    parcels = (await sandbox.get("/carrier/parcels")).json()["parcels"]
    [parcel] = [one for one in parcels if one["shipment_id"] == str(id_of(requested))]
    assert raised.value.type == error
    assert shipment.state is ShipmentState.DISPATCHED
    assert shipment.tracking_number == parcel["tracking_number"]


async def test_an_attempt_after_an_unknown_outcome_finds_the_parcel_even_without_idempotency(
    dispatch_service: DispatchService,
    sandbox: httpx.AsyncClient,
    store: SandboxStore,
    requested: ShipOrder,
) -> None:
    profile = {"faults": {"response_dropped": 1}, "idempotency_enabled": False}
    await sandbox.put("/control/carrier", json=profile)

    await retry_until_done(dispatch_service, requested)

    assert len(store.find("parcels", shipment_id=str(id_of(requested)))) == 1


async def test_an_unknown_outcome_leaves_the_shipment_dispatching(
    dispatch_service: DispatchService,
    sandbox: httpx.AsyncClient,
    repository: ShipmentRepository,
    requested: ShipOrder,
) -> None:
    await sandbox.put("/control/carrier", json={"faults": {"error": 1}})

    with pytest.raises(ApplicationError, match="500"):
        await dispatch_service.dispatch(id_of(requested), requested)

    assert (await repository.get(id_of(requested))).state is ShipmentState.DISPATCHING


async def test_a_shipment_is_prepared_again_where_the_carrier_cannot_be_reached(
    repository: ShipmentRepository, requested: ShipOrder, unreachable_carrier: SandboxCarrier
) -> None:
    service = DispatchService(repository, unreachable_carrier, timedelta(0))
    with pytest.raises(ApplicationError) as raised:
        await service.dispatch(id_of(requested), requested)

    assert raised.value.type == CARRIER_UNAVAILABLE
    shipment = await repository.get(id_of(requested))
    assert shipment.state is ShipmentState.PREPARED
    assert isinstance(await unreachable_carrier.find(shipment), NotAttempted)


async def test_a_dispatched_shipment_is_not_submitted_again(
    dispatch_service: DispatchService, store: SandboxStore, requested: ShipOrder
) -> None:
    first = await dispatch_service.dispatch(id_of(requested), requested)

    second = await dispatch_service.dispatch(id_of(requested), requested)

    assert second == first
    assert len(store.find("parcels", shipment_id=str(id_of(requested)))) == 1


async def test_a_delivery_status_is_fetched_from_the_carrier(
    dispatch_service: DispatchService,
    repository: ShipmentRepository,
    store: SandboxStore,
    requested: ShipOrder,
) -> None:
    await dispatch_service.dispatch(id_of(requested), requested)
    [parcel] = store.find("parcels", shipment_id=str(id_of(requested)))
    store.update(parcel["id"], status="in_transit")

    changed = await dispatch_service.refresh_delivery_status(id_of(requested))

    assert changed.order_id == requested.order_id
    assert changed.status is DeliveryStatus.IN_TRANSIT
    assert (await repository.get(id_of(requested))).delivery_status is DeliveryStatus.IN_TRANSIT


async def test_the_delivery_status_of_a_parcel_that_the_carrier_does_not_know_is_unknown(
    repository: ShipmentRepository, dispatch_service: DispatchService, requested: ShipOrder
) -> None:
    await repository.begin_dispatch(id_of(requested), requested)
    with pytest.raises(ApplicationError, match="does not know") as raised:
        await dispatch_service.refresh_delivery_status(id_of(requested))

    assert raised.value.type == CARRIER_OUTCOME_UNKNOWN


async def test_the_delivery_status_waits_while_the_carrier_is_unavailable(
    dispatch_service: DispatchService, sandbox: httpx.AsyncClient, requested: ShipOrder
) -> None:
    await dispatch_service.dispatch(id_of(requested), requested)
    await sandbox.put("/control/carrier", json={"available": False})

    with pytest.raises(ApplicationError) as raised:
        await dispatch_service.refresh_delivery_status(id_of(requested))

    assert raised.value.type == CARRIER_UNAVAILABLE


class RefusingCarrier:
    """The carrier, at a time when it refuses every new parcel, and still answers look-ups."""

    def __init__(self, carrier: SandboxCarrier) -> None:
        self.find, self.create, self.cancel = carrier.find, carrier.create, carrier.cancel

    async def submit(self, shipment: Shipment) -> NotAttempted:
        return NotAttempted(reason=f"no new parcels, such as {shipment.id}")


@pytest.fixture
async def uncertain(
    repository: ShipmentRepository,
    dispatch_service: DispatchService,
    sandbox: httpx.AsyncClient,
    requested: ShipOrder,
) -> Shipment:
    """A shipment whose request may have had an effect."""
    await sandbox.put("/control/carrier", json={"faults": {"error": 1}})
    with pytest.raises(ApplicationError, match="500"):
        await dispatch_service.dispatch(id_of(requested), requested)
    await sandbox.put("/control/carrier", json={})
    return await repository.get(id_of(requested))


async def dispatch_without_success(
    repository: ShipmentRepository, carrier: SandboxCarrier, shipment: Shipment, window: timedelta
) -> ShipmentState:
    """Dispatch to a carrier that refuses the parcel; return the state after that."""
    service = DispatchService(repository, RefusingCarrier(carrier), window)
    request = ShipOrder(order_id=shipment.order_id, address=ADDRESS)
    with pytest.raises(ApplicationError, match="no new parcels"):
        await service.dispatch(shipment.id, request)
    return (await repository.get(shipment.id)).state


async def test_a_request_that_the_carrier_does_not_know_may_have_an_effect_for_a_while(
    repository: ShipmentRepository, carrier: SandboxCarrier, uncertain: Shipment
) -> None:
    for _ in range(2):
        state = await dispatch_without_success(repository, carrier, uncertain, timedelta(minutes=5))

        assert state is ShipmentState.DISPATCHING
    assert (await repository.get(uncertain.id)).submitted_at == uncertain.submitted_at
    assert await repository.cancel(uncertain.id, uncertain.order_id) is ShipmentState.DISPATCHING


async def test_a_request_that_the_carrier_does_not_know_after_the_window_had_no_effect(
    repository: ShipmentRepository, carrier: SandboxCarrier, uncertain: Shipment
) -> None:
    state = await dispatch_without_success(repository, carrier, uncertain, timedelta(0))

    assert state is ShipmentState.PREPARED
    assert await repository.cancel(uncertain.id, uncertain.order_id) is ShipmentState.CANCELLED


async def test_a_parcel_that_is_accepted_after_the_window_is_listed_as_dispatched(
    repository: ShipmentRepository,
    carrier: SandboxCarrier,
    dispatch_service: DispatchService,
    uncertain: Shipment,
) -> None:
    await dispatch_without_success(repository, carrier, uncertain, timedelta(0))
    await repository.cancel(uncertain.id, uncertain.order_id)
    before = await dispatch_service.list_dispatched([uncertain.order_id])

    assert isinstance(await carrier.submit(uncertain), Accepted)

    assert before == []
    assert await dispatch_service.list_dispatched([uncertain.order_id]) == [uncertain.order_id]


@pytest.mark.parametrize("reported", [None, DeliveryStatus.RETURNED])
async def test_an_order_finds_the_delivery_status_that_was_reported_last(
    dispatch_service: DispatchService,
    repository: ShipmentRepository,
    reported: DeliveryStatus | None,
) -> None:
    activities = ShippingActivities(repository, dispatch_service)
    order_id = uuid4()
    await ActivityEnvironment().run(
        activities.shipment_dispatched, ShipOrder(order_id=order_id, address=ADDRESS)
    )
    if reported:
        await repository.record_delivery_status(derive_shipment_id(order_id), reported)

    found = await activities.delivery_status_found(FindDeliveryStatus(order_id=order_id))

    assert found.status is (reported or DeliveryStatus.ACCEPTED)
