"""Which request wins at the shipment's row: the dispatch, a cancellation or a new address."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.address import Address
from fuze_contracts.shipping import DeliveryStatus, ParcelItem, ShipOrder
from fuze_shipping.activities import derive_shipment_id
from fuze_shipping.carrier import Accepted, NotAttempted, Rejected
from fuze_shipping.messages import Shipment, ShipmentState
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.tables import metadata, shipments

OTHER_ADDRESS = Address(country="US", postal_code="94105")
NOT_ATTEMPTED = NotAttempted(reason="the carrier cannot be reached")


def request_shipment() -> ShipOrder:
    """Return the first request for a shipment."""
    return ShipOrder(
        order_id=uuid4(),
        address=Address(country="US", postal_code="10001"),
        items=(ParcelItem(sku="TEAPOT-1", quantity=3),),
        number=5,
    )


def request_again(request: ShipOrder, zip_code: str) -> ShipOrder:
    """Return the order's next request."""
    address = Address(country="US", postal_code=zip_code)
    return request.model_copy(update={"number": request.number + 2, "address": address})


def id_of(request: ShipOrder) -> UUID:
    return derive_shipment_id(request.order_id)


async def begin(repository: ShipmentRepository, request: ShipOrder) -> Shipment:
    return await repository.begin_dispatch(id_of(request), request)


async def change_address(repository: ShipmentRepository, request: ShipOrder) -> bool:
    return await repository.change_address(id_of(request), request.order_id, OTHER_ADDRESS)


def accepted() -> Accepted:
    return Accepted(carrier="a-carrier", tracking_number=f"FZ{uuid4()}")


async def cancel(repository: ShipmentRepository, request: ShipOrder) -> ShipmentState:
    return await repository.cancel(id_of(request), request.order_id)


async def test_a_dispatch_begins_with_what_was_requested(repository: ShipmentRepository) -> None:
    request = request_shipment()

    shipment = await begin(repository, request)

    assert shipment.state is ShipmentState.DISPATCHING
    assert (shipment.order_id, shipment.dispatch_attempt) == (request.order_id, 1)
    assert (shipment.address, shipment.items) == (request.address, request.items)
    assert not shipment.may_have_been_submitted


async def test_an_attempt_after_an_interrupted_one_may_have_been_submitted(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await begin(repository, request)

    second = await begin(repository, request)

    assert (second.dispatch_attempt, second.may_have_been_submitted) == (2, True)


async def test_nothing_can_be_changed_once_a_dispatch_has_begun(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await begin(repository, request)

    assert await cancel(repository, request) is ShipmentState.DISPATCHING
    assert not await change_address(repository, request)


async def test_a_dispatch_that_was_not_attempted_makes_the_shipment_prepared_again(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await begin(repository, request)

    assert (await repository.finish_dispatch(first, NOT_ATTEMPTED)).state is ShipmentState.PREPARED

    assert await change_address(repository, request)
    assert (await begin(repository, request)).address == OTHER_ADDRESS


async def test_an_unavailable_carrier_after_an_unknown_outcome_leaves_it_dispatching(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    await begin(repository, request)
    second = await begin(repository, request)

    await repository.finish_dispatch(second, NOT_ATTEMPTED)

    assert await cancel(repository, request) is ShipmentState.DISPATCHING


@pytest.mark.parametrize("result", [NOT_ATTEMPTED, Rejected(code="address_not_serviceable")])
async def test_a_superseded_attempt_does_not_end_the_newer_one(
    repository: ShipmentRepository, result: NotAttempted | Rejected
) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await begin(repository, request)

    assert (await repository.finish_dispatch(first, result)).state is ShipmentState.DISPATCHING

    assert await cancel(repository, request) is ShipmentState.DISPATCHING


async def test_an_acceptance_is_final(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first, result = await begin(repository, request), accepted()
    await repository.finish_dispatch(first, result)
    await repository.finish_dispatch(first, NOT_ATTEMPTED)
    await repository.finish_dispatch(first, accepted())

    found = await begin(repository, request)

    assert found.state is ShipmentState.DISPATCHED
    assert (found.carrier, found.tracking_number) == (result.carrier, result.tracking_number)
    assert await cancel(repository, request) is ShipmentState.DISPATCHED


async def test_an_acceptance_that_a_superseded_attempt_learns_of_is_recorded(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await begin(repository, request)

    await repository.finish_dispatch(first, accepted())

    assert (await repository.get(id_of(request))).state is ShipmentState.DISPATCHED


async def test_a_cancelled_shipment_is_not_dispatched(repository: ShipmentRepository) -> None:
    request = request_shipment()

    assert await cancel(repository, request) is ShipmentState.CANCELLED
    assert (await begin(repository, request)).state is ShipmentState.CANCELLED


async def test_a_repeated_request_does_not_submit_a_rejected_address_again(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    repeated = await begin(repository, request)

    assert repeated.state is ShipmentState.REJECTED
    assert repeated.rejection_code == "address_not_serviceable"


async def test_a_new_request_corrects_a_rejected_address(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    second = await begin(repository, request_again(request, zip_code="94105"))

    assert (second.state, second.rejection_code) == (ShipmentState.DISPATCHING, None)
    assert (second.address, second.may_have_been_submitted) == (OTHER_ADDRESS, False)


async def test_a_shipment_with_a_rejected_address_can_be_cancelled(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    assert await cancel(repository, request) is ShipmentState.CANCELLED


async def test_a_new_request_keeps_a_changed_address(repository: ShipmentRepository) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await repository.finish_dispatch(first, NOT_ATTEMPTED)
    await change_address(repository, request)

    second = await begin(repository, request_again(request, zip_code="10001"))

    assert second.address == OTHER_ADDRESS


async def test_an_older_request_does_not_submit_its_address_after_a_newer_one_was_rejected(
    repository: ShipmentRepository,
) -> None:
    older = request_shipment()
    newer = request_again(older, zip_code="94105")
    first = await begin(repository, newer)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))

    assert (await begin(repository, older)).state is ShipmentState.REJECTED


async def test_an_address_that_changes_before_the_first_dispatch_is_the_one_dispatched_to(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    assert await change_address(repository, request)

    shipment = await begin(repository, request)

    assert shipment.state is ShipmentState.DISPATCHING
    assert (shipment.address, shipment.items) == (OTHER_ADDRESS, request.items)


async def test_an_address_that_changes_after_a_rejection_was_not_rejected(
    repository: ShipmentRepository,
) -> None:
    request = request_shipment()
    first = await begin(repository, request)
    await repository.finish_dispatch(first, Rejected(code="address_not_serviceable"))
    assert await change_address(repository, request)

    repeated = await begin(repository, request)

    assert (repeated.state, repeated.address) == (ShipmentState.DISPATCHING, OTHER_ADDRESS)


async def test_an_address_changes_neither_of_a_cancelled_shipment_nor_of_a_dispatched_one(
    repository: ShipmentRepository,
) -> None:
    cancelled, dispatched = request_shipment(), request_shipment()
    await cancel(repository, cancelled)
    await repository.finish_dispatch(await begin(repository, dispatched), accepted())

    assert not await change_address(repository, cancelled)
    assert not await change_address(repository, dispatched)


async def test_a_concurrent_cancellation_and_dispatch_have_one_winner(
    repository: ShipmentRepository,
) -> None:
    for _ in range(20):
        request = request_shipment()

        shipment, state = await asyncio.gather(
            begin(repository, request), cancel(repository, request)
        )

        assert shipment.state is state


async def test_a_new_address_and_the_first_dispatch_at_once_agree_on_the_address(
    repository: ShipmentRepository,
) -> None:
    for _ in range(20):
        request = request_shipment()

        shipment, is_changed = await asyncio.gather(
            begin(repository, request), change_address(repository, request)
        )

        assert shipment.address == (OTHER_ADDRESS if is_changed else request.address)


async def test_the_delivery_status_never_goes_back(repository: ShipmentRepository) -> None:
    shipment = await begin(repository, request_shipment())
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
    shipment = await begin(repository, request_shipment())

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
