"""Which request wins at the shipment's row: the dispatch, a cancellation or a new address."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.address import Address
from fuze_contracts.shipping import DeliveryStatus, ParcelItem, ShipOrder
from fuze_shipping.carrier import Accepted, NotAttempted, Rejected
from fuze_shipping.messages import DispatchRequest, ShipmentState
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.tables import metadata, shipments

OTHER_ADDRESS = Address(country="US", postal_code="94105")
NOT_ATTEMPTED = NotAttempted(reason="the carrier cannot be reached")


def order() -> ShipOrder:
    return ShipOrder(
        order_id=uuid4(),
        address=Address(country="US", postal_code="10001"),
        items=(ParcelItem(sku="TEAPOT-1", quantity=3),),
    )


def request_shipment() -> DispatchRequest:
    return DispatchRequest(shipment_id=uuid4(), run_id="first", order=order())


def request_again(request: DispatchRequest, zip_code: str) -> DispatchRequest:
    """Return the request of another run."""
    address = Address(country="US", postal_code=zip_code)
    changed = request.order.model_copy(update={"address": address})
    return request.model_copy(update={"run_id": "second", "order": changed})


def accepted() -> Accepted:
    return Accepted(carrier="a-carrier", tracking_number=f"FZ{uuid4()}")


async def cancel(repository: ShipmentRepository, request: DispatchRequest) -> ShipmentState:
    return await repository.cancel(request.shipment_id, request.order.order_id)


async def test_a_dispatch_begins_with_what_was_requested(repository: ShipmentRepository) -> None:
    request = request_shipment()

    shipment = await repository.begin_dispatch(request)

    order = request.order
    assert shipment.state is ShipmentState.DISPATCHING
    assert (shipment.order_id, shipment.dispatch_attempt) == (order.order_id, 1)
    assert (shipment.address, shipment.items) == (order.address, order.items)
    assert not shipment.may_have_been_submitted


async def test_an_attempt_after_an_interrupted_one_may_have_been_submitted(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await repository.begin_dispatch(request)

    second = await repository.begin_dispatch(request)

    assert (second.dispatch_attempt, second.may_have_been_submitted) == (2, True)


async def test_nothing_can_be_changed_once_a_dispatch_has_begun(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await repository.begin_dispatch(request)

    assert await cancel(repository, request) is ShipmentState.DISPATCHING
    assert not await repository.change_address(request.shipment_id, OTHER_ADDRESS)


async def test_a_dispatch_that_was_not_attempted_makes_the_shipment_prepared_again(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)

    assert (await repository.finish_dispatch(first, NOT_ATTEMPTED)).state is ShipmentState.PREPARED

    assert await repository.change_address(request.shipment_id, OTHER_ADDRESS)
    assert (await repository.begin_dispatch(request)).address == OTHER_ADDRESS


async def test_an_unavailable_carrier_after_an_unknown_outcome_leaves_it_dispatching(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await repository.begin_dispatch(request)
    second = await repository.begin_dispatch(request)

    await repository.finish_dispatch(second, NOT_ATTEMPTED)

    assert await cancel(repository, request) is ShipmentState.DISPATCHING


@pytest.mark.parametrize("result", [NOT_ATTEMPTED, Rejected(code="address_not_serviceable")])
async def test_a_superseded_attempt_does_not_end_the_newer_one(
    repository: ShipmentRepository, result: NotAttempted | Rejected
) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.begin_dispatch(request)

    assert (await repository.finish_dispatch(first, result)).state is ShipmentState.DISPATCHING

    assert await cancel(repository, request) is ShipmentState.DISPATCHING


async def test_an_acceptance_is_final(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first, result = await repository.begin_dispatch(request), accepted()
    await repository.finish_dispatch(first, result)
    await repository.finish_dispatch(first, NOT_ATTEMPTED)
    await repository.finish_dispatch(first, accepted())

    found = await repository.begin_dispatch(request)

    assert found.state is ShipmentState.DISPATCHED
    assert (found.carrier, found.tracking_number) == (result.carrier, result.tracking_number)
    assert await cancel(repository, request) is ShipmentState.DISPATCHED


async def test_an_acceptance_that_a_superseded_attempt_learns_of_is_recorded(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.begin_dispatch(request)

    await repository.finish_dispatch(first, accepted())

    assert (await repository.get(request.shipment_id)).state is ShipmentState.DISPATCHED


async def test_a_cancelled_shipment_is_not_dispatched(repository: ShipmentRepository) -> None:
    request = request_shipment()

    assert await cancel(repository, request) is ShipmentState.CANCELLED
    assert (await repository.begin_dispatch(request)).state is ShipmentState.CANCELLED


async def test_a_run_that_repeats_its_request_does_not_submit_a_rejected_address_again(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    repeated = await repository.begin_dispatch(request)

    assert repeated.state is ShipmentState.REJECTED
    assert repeated.rejection_code == "address_not_serviceable"


async def test_another_run_corrects_a_rejected_address(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    second = await repository.begin_dispatch(request_again(request, zip_code="94105"))

    assert (second.state, second.rejection_code) == (ShipmentState.DISPATCHING, None)
    assert (second.address, second.may_have_been_submitted) == (OTHER_ADDRESS, False)


async def test_a_shipment_with_a_rejected_address_can_be_cancelled(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    assert await cancel(repository, request) is ShipmentState.CANCELLED


async def test_another_run_keeps_a_changed_address(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first = await repository.begin_dispatch(request)
    await repository.finish_dispatch(first, NOT_ATTEMPTED)
    await repository.change_address(request.shipment_id, OTHER_ADDRESS)

    second = await repository.begin_dispatch(request_again(request, zip_code="10001"))

    assert second.address == OTHER_ADDRESS


async def test_an_address_change_before_the_first_dispatch_is_an_error_to_retry(
    repository: ShipmentRepository,
) -> None:
    with pytest.raises(LookupError):
        await repository.change_address(uuid4(), OTHER_ADDRESS)


async def test_a_concurrent_cancellation_and_dispatch_have_one_winner(
    repository: ShipmentRepository,
) -> None:
    for _ in range(20):
        request = request_shipment()

        shipment, state = await asyncio.gather(
            repository.begin_dispatch(request), cancel(repository, request)
        )

        assert shipment.state is state


async def test_the_delivery_status_never_goes_back(repository: ShipmentRepository) -> None:
    shipment = await repository.begin_dispatch(request_shipment())
    await repository.finish_dispatch(shipment, accepted())

    recorded = [
        await repository.record_delivery_status(shipment.id, status)
        for status in (
            DeliveryStatus.DELIVERED,
            DeliveryStatus.IN_TRANSIT,
            DeliveryStatus.DELIVERED,
        )
    ]

    assert recorded == [DeliveryStatus.DELIVERED] * 3
    assert (await repository.get(shipment.id)).delivery_status is DeliveryStatus.DELIVERED


async def test_a_delivery_status_before_the_dispatch_is_recorded_is_an_error_to_retry(
    repository: ShipmentRepository,
) -> None:
    shipment = await repository.begin_dispatch(request_shipment())

    with pytest.raises(LookupError, match="dispatching, not dispatched"):
        await repository.record_delivery_status(shipment.id, DeliveryStatus.DELIVERED)


async def test_the_migrated_table_has_the_constraints_that_the_code_declares(
    engine_of: Callable[[str], AsyncEngine],
) -> None:
    """Alembic does not compare CHECK constraints."""
    query = sa.text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'shipping.shipments'::regclass"
    )
    async with engine_of("shipping_migrator").connect() as connection:  # rolled back
        migrated = set(await connection.execute(query))
        await connection.execute(sa.schema.DropTable(shipments))
        await connection.run_sync(metadata.create_all)
        declared = set(await connection.execute(query))

    assert declared == migrated


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM shipping.shipments",
        "CREATE TABLE shipping.more (id int)",
        "SELECT * FROM orders.orders",
        "SELECT * FROM payments.payments",
    ],
)
async def test_the_services_role_is_denied(
    engine_of: Callable[[str], AsyncEngine], statement: str
) -> None:
    async with engine_of("shipping").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))
