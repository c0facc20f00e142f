"""Who was first at the shipment's row: the hand-over, a cancellation or a new address."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.shipping import Address, DeliveryStatus, ParcelItem, ShipOrder
from fuze_shipping.carrier import Accepted, Refused
from fuze_shipping.messages import PrepareShipment, Shipment, ShipmentState
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.rules import shipment_id

ELSEWHERE = Address(zip_code="94105")


@pytest.fixture
def repository(engine_of: Callable[[str], AsyncEngine]) -> ShipmentRepository:
    return ShipmentRepository(engine_of("shipping"))


async def prepare(
    repository: ShipmentRepository, order_id: UUID | None = None, zip_code: str = "10001"
) -> UUID:
    order_id = order_id or uuid4()
    await repository.prepare(
        PrepareShipment(
            shipment_id=shipment_id(order_id),
            order=ShipOrder(
                order_id=order_id,
                address=Address(zip_code=zip_code),
                items=(ParcelItem(sku="TEAPOT-1", quantity=3),),
            ),
            occurred_at=datetime.now(UTC),
        )
    )
    return order_id


async def begin(repository: ShipmentRepository, order_id: UUID) -> Shipment:
    return await repository.begin_hand_over(shipment_id(order_id))


def accepted() -> Accepted:
    return Accepted(carrier="a-carrier", tracking_number=f"FZ{uuid4()}")


async def call_off(repository: ShipmentRepository, order_id: UUID) -> ShipmentState:
    return await repository.call_off(shipment_id(order_id), order_id)


async def test_a_hand_over_begins_with_what_was_prepared(repository: ShipmentRepository) -> None:
    order_id = await prepare(repository)

    shipment = await begin(repository, order_id)

    assert shipment.state is ShipmentState.DISPATCHING
    assert (shipment.order_id, shipment.dispatch_attempt) == (order_id, 1)
    assert shipment.address == Address(zip_code="10001")
    assert shipment.items == (ParcelItem(sku="TEAPOT-1", quantity=3),)
    assert not shipment.may_be_there


async def test_an_attempt_after_one_that_was_cut_off_knows_that_the_carrier_may_have_it(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    await begin(repository, order_id)

    again = await begin(repository, order_id)

    assert (again.dispatch_attempt, again.may_be_there) == (2, True)


async def test_once_a_hand_over_has_begun_nothing_is_changed(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    await begin(repository, order_id)

    assert await call_off(repository, order_id) is ShipmentState.DISPATCHING
    assert not await repository.readdress(shipment_id(order_id), ELSEWHERE)


async def test_a_carrier_that_surely_did_not_take_it_gives_it_back(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    await repository.end_hand_over(await begin(repository, order_id), None)

    assert await repository.readdress(shipment_id(order_id), ELSEWHERE)
    assert (await begin(repository, order_id)).address == ELSEWHERE


async def test_a_sure_no_after_an_unclear_answer_gives_nothing_back(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    await begin(repository, order_id)
    second = await begin(repository, order_id)

    await repository.end_hand_over(second, None)

    assert await call_off(repository, order_id) is ShipmentState.DISPATCHING


async def test_a_sure_no_of_an_attempt_that_was_overtaken_gives_nothing_back(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    first = await begin(repository, order_id)
    await begin(repository, order_id)

    await repository.end_hand_over(first, None)

    assert await call_off(repository, order_id) is ShipmentState.DISPATCHING


async def test_what_the_carrier_has_stays_with_it(repository: ShipmentRepository) -> None:
    order_id = await prepare(repository)
    first, answer = await begin(repository, order_id), accepted()
    await repository.end_hand_over(first, answer)
    await repository.end_hand_over(first, None)
    await repository.end_hand_over(first, accepted())

    found = await begin(repository, order_id)

    assert found.state is ShipmentState.DISPATCHED
    assert (found.carrier, found.tracking_number) == (answer.carrier, answer.tracking_number)
    assert await call_off(repository, order_id) is ShipmentState.DISPATCHED


async def test_the_truth_is_taken_from_an_attempt_that_was_overtaken(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    first = await begin(repository, order_id)
    await begin(repository, order_id)

    await repository.end_hand_over(first, accepted())

    assert (await begin(repository, order_id)).state is ShipmentState.DISPATCHED


async def test_what_was_called_off_is_not_handed_over(repository: ShipmentRepository) -> None:
    order_id = await prepare(repository)

    assert await call_off(repository, order_id) is ShipmentState.CANCELLED
    assert (await begin(repository, order_id)).state is ShipmentState.CANCELLED


async def test_what_was_called_off_before_anyone_prepared_it_is_not_handed_over(
    repository: ShipmentRepository,
) -> None:
    order_id = uuid4()

    assert await call_off(repository, order_id) is ShipmentState.CANCELLED
    await prepare(repository, order_id)

    assert (await begin(repository, order_id)).state is ShipmentState.CANCELLED


async def test_a_refused_address_is_corrected_by_preparing_again(
    repository: ShipmentRepository,
) -> None:
    order_id = await prepare(repository)
    await repository.end_hand_over(await begin(repository, order_id), Refused(code="too_far"))
    refused = await begin(repository, order_id)

    await prepare(repository, order_id, zip_code="94105")

    assert (refused.state, refused.rejection_code) == (ShipmentState.REJECTED, "too_far")
    assert (await begin(repository, order_id)).address == ELSEWHERE


async def test_preparing_again_does_not_undo_a_new_address(repository: ShipmentRepository) -> None:
    order_id = await prepare(repository)
    await repository.readdress(shipment_id(order_id), ELSEWHERE)

    await prepare(repository, order_id)

    assert (await begin(repository, order_id)).address == ELSEWHERE


async def test_a_shipment_that_is_not_prepared_yet_is_asked_for_again(
    repository: ShipmentRepository,
) -> None:
    with pytest.raises(LookupError):
        await repository.readdress(uuid4(), ELSEWHERE)


async def test_a_cancellation_and_a_hand_over_at_once_have_one_winner(
    repository: ShipmentRepository,
) -> None:
    for _ in range(20):
        order_id = await prepare(repository)

        shipment, state = await asyncio.gather(
            begin(repository, order_id), call_off(repository, order_id)
        )

        assert shipment.state is state


async def test_how_far_a_parcel_has_come_only_goes_forward(repository: ShipmentRepository) -> None:
    order_id = await prepare(repository)
    shipment = await begin(repository, order_id)
    await repository.end_hand_over(shipment, accepted())

    heard = [
        await repository.track(shipment, state)
        for state in (DeliveryStatus.DELIVERED, DeliveryStatus.IN_TRANSIT, DeliveryStatus.DELIVERED)
    ]

    assert heard == [DeliveryStatus.DELIVERED] * 3
    assert (await repository.get(shipment.id)).delivery_status is DeliveryStatus.DELIVERED


async def test_news_of_a_parcel_that_is_not_handed_over_here_is_asked_for_again(
    repository: ShipmentRepository,
) -> None:
    shipment = await begin(repository, await prepare(repository))

    with pytest.raises(LookupError):
        await repository.track(shipment, DeliveryStatus.DELIVERED)
