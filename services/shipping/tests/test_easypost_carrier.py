"""Labels at EasyPost through faults: one label, whatever goes wrong. Over HTTP, with a fake."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from easypost_harness import SETTLE_WINDOW, Connect, EasyPostHarness, open_harness
from fake_easypost import (
    BAD_GATEWAY,
    CUT_OFF,
    DELAYED,
    DROPPED,
    IN_PROGRESS,
    INSUFFICIENT_FUNDS,
    INTERNAL_ERROR,
    INVALID_ADDRESS,
    NO_LABEL,
    NO_RESPONSE,
    POSTAGE_EXISTS,
    POSTAGE_FAILURE,
    RATE_LIMITED,
    REQUEST_TIMEOUT,
    TIMED_OUT,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNVERIFIABLE,
    UPS_GROUND,
    USPS_EXPRESS,
    USPS_GROUND,
    VERIFIER_UNAVAILABLE,
    FakeEasyPost,
    Fault,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.address import Address
from fuze_contracts.shipping import (
    CARRIER_OUTCOME_UNKNOWN,
    CARRIER_UNAVAILABLE,
    DeliveryStatus,
)
from fuze_shipping.messages import ShipmentState
from fuze_shipping.repository import ShipmentRepository


@pytest.fixture
async def connect(repository: ShipmentRepository) -> AsyncIterator[Connect]:
    """Return a harness with other settings."""
    fake = FakeEasyPost()
    await fake.start()
    yield partial(open_harness, fake, repository)
    await fake.stop()


@pytest.fixture
async def shop(connect: Connect) -> AsyncIterator[EasyPostHarness]:
    async with connect() as harness:
        yield harness


_UNAVAILABLE, _UNKNOWN = CARRIER_UNAVAILABLE, CARRIER_OUTCOME_UNKNOWN


@pytest.mark.parametrize(
    ("kind", "fault", "failure"),
    [
        ("get", INTERNAL_ERROR, _UNAVAILABLE),
        ("get", UNAUTHORIZED, _UNAVAILABLE),
        ("get", DROPPED, _UNAVAILABLE),
        ("create", DROPPED, _UNAVAILABLE),
        ("create", UNAVAILABLE, _UNAVAILABLE),
        ("create", CUT_OFF, _UNAVAILABLE),
        ("create", RATE_LIMITED, _UNAVAILABLE),
        ("buy", RATE_LIMITED, _UNAVAILABLE),
        ("buy", INSUFFICIENT_FUNDS, _UNAVAILABLE),
        ("buy", UNAUTHORIZED, _UNAVAILABLE),
        ("buy", POSTAGE_FAILURE, _UNAVAILABLE),
        ("buy", DROPPED, _UNKNOWN),
        ("buy", INTERNAL_ERROR, _UNKNOWN),
        ("buy", UNAVAILABLE, _UNKNOWN),
        ("buy", BAD_GATEWAY, _UNKNOWN),
        ("buy", CUT_OFF, _UNKNOWN),
        ("buy", POSTAGE_EXISTS, _UNKNOWN),
        ("buy", IN_PROGRESS, _UNKNOWN),
        ("buy", NO_RESPONSE, _UNKNOWN),
        ("buy", TIMED_OUT, _UNKNOWN),
        ("buy", REQUEST_TIMEOUT, _UNKNOWN),
        ("buy", NO_LABEL, _UNKNOWN),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
async def test_a_shipment_gets_one_label_whatever_happens_to_a_request(
    shop: EasyPostHarness, kind: str, fault: Fault, failure: str
) -> None:
    shop.easypost.faults[kind] = [fault]

    assert await shop.fail() == failure
    after = (await shop.shipment()).state
    shipment = await shop.retry_until_done()

    [label] = shop.easypost.labels
    can_be_cancelled = failure == CARRIER_UNAVAILABLE
    assert (after is ShipmentState.PREPARED) == can_be_cancelled
    assert (shipment.carrier, shipment.tracking_number) == ("USPS", label["tracking_code"])
    assert shipment.carrier_reference == label["id"]


async def test_a_label_whose_response_was_lost_is_found_and_not_bought_again(
    shop: EasyPostHarness,
) -> None:
    shop.easypost.faults["buy"] = [DROPPED]
    await shop.fail()

    shipment = await shop.dispatch()

    assert shipment.state is ShipmentState.DISPATCHED
    assert shop.easypost.count("buy") == 1


async def test_purchases_that_take_effect_after_the_timeout_buy_one_label(
    connect: Connect,
) -> None:
    async with connect(carrier_timeout=timedelta(seconds=1)) as shop:
        shop.easypost.faults["buy"] = [DELAYED, DELAYED]
        failure = await shop.fail()
        again = asyncio.create_task(shop.dispatch())
        await shop.easypost.wait_for_requests("buy", 2)
        shop.easypost.released.set()
        await asyncio.gather(again, return_exceptions=True)
        shipment = await shop.retry_until_done()

    assert failure == CARRIER_OUTCOME_UNKNOWN
    [created] = shop.easypost.shipments.values()
    assert shipment.tracking_number == created["tracking_code"]


async def test_an_attempt_that_was_superseded_buys_nothing(shop: EasyPostHarness) -> None:
    shop.easypost.faults["create"] = [DELAYED]
    slow = asyncio.create_task(shop.dispatch())
    await shop.easypost.wait_for_requests("create", 1)

    shipment = await shop.dispatch()
    shop.easypost.released.set()
    [superseded] = await asyncio.gather(slow, return_exceptions=True)

    assert len(shop.easypost.shipments) == 2
    [label] = shop.easypost.labels
    assert shipment.carrier_reference == label["id"]
    assert isinstance(superseded, ApplicationError)
    assert superseded.type == CARRIER_OUTCOME_UNKNOWN


async def test_a_shipment_whose_creation_was_lost_is_found_by_its_reference(
    shop: EasyPostHarness,
) -> None:
    shop.easypost.faults["create"] = [DROPPED]
    await shop.fail()

    await shop.dispatch()

    [created] = shop.easypost.shipments.values()
    assert created["reference"].startswith(f"{shop.shipment_id}-")


async def test_a_shipment_is_prepared_again_where_easypost_cannot_be_reached(
    connect: Connect,
) -> None:
    async with connect(easypost_api_base="http://127.0.0.1:9/v2") as shop:
        failure = await shop.fail(window=timedelta(0))

        assert failure == CARRIER_UNAVAILABLE
        assert (await shop.shipment()).state is ShipmentState.PREPARED


async def test_an_address_that_easypost_cannot_verify_is_rejected_until_it_is_changed(
    connect: Connect,
) -> None:
    async with connect(easypost_verify_addresses=True) as shop:
        shop.easypost.faults["verify"] = [VERIFIER_UNAVAILABLE, UNVERIFIABLE]
        unavailable = await shop.fail()
        rejected = await shop.dispatch()
        await shop.change_address()
        shipment = await shop.dispatch()

    assert unavailable == CARRIER_UNAVAILABLE
    assert rejected.state is ShipmentState.REJECTED
    assert rejected.rejection_code == "ADDRESS.VERIFY.FAILURE"
    assert shipment.state is ShipmentState.DISPATCHED
    [created] = shop.easypost.shipments.values()
    assert created["to_address"]["id"].startswith("adr_")


async def test_a_parcel_to_another_address_is_another_shipment(shop: EasyPostHarness) -> None:
    shop.easypost.faults["buy"] = [INVALID_ADDRESS]
    rejected = await shop.dispatch()
    await shop.change_address()

    await shop.dispatch()

    first, second = shop.easypost.shipments.values()
    assert rejected.rejection_code == "ADDRESS.PARAMETERS.INVALID"
    assert first["reference"] != second["reference"]
    assert shop.easypost.labels == [second]
    assert second["to_address"]["street1"] == "180 N Harbor Dr"


async def test_an_address_abroad_is_rejected_without_a_request(shop: EasyPostHarness) -> None:
    abroad = Address(country="CA", postal_code="K1A 0B1")
    shop.request = shop.request.model_copy(update={"address": abroad})

    rejected = await shop.dispatch()

    assert rejected.rejection_code == "customs_not_supported"
    assert shop.easypost.received == []


@pytest.fixture
async def uncertain(shop: EasyPostHarness) -> EasyPostHarness:
    """A shipment whose purchase has an unknown outcome, and no effect; the next are refused."""
    shop.easypost.faults["buy"] = [INTERNAL_ERROR, RATE_LIMITED, RATE_LIMITED]
    assert await shop.fail() == CARRIER_OUTCOME_UNKNOWN
    return shop


async def test_a_purchase_may_have_an_effect_until_the_settle_window_is_over(
    uncertain: EasyPostHarness,
) -> None:
    states = []
    for window in (SETTLE_WINDOW, timedelta(0)):
        await uncertain.fail(window)
        states.append((await uncertain.shipment()).state)

    assert states == [ShipmentState.DISPATCHING, ShipmentState.PREPARED]


@pytest.mark.parametrize(
    ("refund_status", "is_listed"), [("submitted", False), ("not_applicable", True)]
)
async def test_a_label_of_a_cancelled_shipment_is_refunded_where_it_turns_up(
    uncertain: EasyPostHarness, refund_status: str, *, is_listed: bool
) -> None:
    await uncertain.fail(window=timedelta(0))
    shipment = await uncertain.shipment()
    await uncertain.repository.cancel(shipment.id, shipment.order_id)
    before = await uncertain.list_dispatched()
    uncertain.easypost.refund_status, uncertain.easypost.faults["buy"] = refund_status, []

    await uncertain.carrier.submit(shipment)

    listed = [await uncertain.list_dispatched() for _ in range(2)]
    assert before == []
    assert listed == [[shipment.order_id] if is_listed else []] * 2
    assert [one["refund_status"] for one in uncertain.easypost.labels] == [refund_status]


async def test_a_late_label_of_a_shipment_that_is_not_cancelled_is_used(
    uncertain: EasyPostHarness,
) -> None:
    await uncertain.fail(window=timedelta(0))
    uncertain.easypost.faults["buy"] = []
    await uncertain.carrier.submit(await uncertain.shipment())

    assert await uncertain.list_dispatched() == [uncertain.request.order_id]
    assert (await uncertain.dispatch()).state is ShipmentState.DISPATCHED
    assert (uncertain.easypost.count("buy"), uncertain.easypost.count("refund")) == (3, 0)


@pytest.mark.parametrize(
    ("services", "bought"),
    [([], USPS_GROUND), (["UPS"], UPS_GROUND), (["USPS/Express", "UPS/Air"], USPS_EXPRESS)],
    ids=["any", "of a carrier", "a service"],
)
async def test_the_cheapest_rate_that_is_allowed_is_bought(
    connect: Connect, services: list[str], bought: tuple[str, str, str]
) -> None:
    async with connect(easypost_services=services) as shop:
        shop.easypost.offers = [USPS_EXPRESS, UPS_GROUND, USPS_GROUND]
        await shop.dispatch()

    rate = shop.easypost.labels[0]["selected_rate"]
    assert (rate["carrier"], rate["service"], rate["rate"]) == bought


async def test_without_an_allowed_rate_nothing_is_bought_and_the_carriers_errors_are_reported(
    shop: EasyPostHarness,
) -> None:
    shop.easypost.offers = []
    with pytest.raises(ApplicationError, match="UPS: the parcel is too heavy") as raised:
        await shop.dispatch()

    assert raised.value.type == CARRIER_UNAVAILABLE
    assert (await shop.shipment()).state is ShipmentState.PREPARED


async def test_rates_that_are_old_are_requested_again(shop: EasyPostHarness) -> None:
    shop.easypost.rate_age = timedelta(hours=2)

    await shop.dispatch()

    assert (shop.easypost.count("rerate"), len(shop.easypost.labels)) == (1, 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pre_transit", DeliveryStatus.ACCEPTED),
        ("out_for_delivery", DeliveryStatus.IN_TRANSIT),
        ("delivered", DeliveryStatus.DELIVERED),
        ("return_to_sender", DeliveryStatus.RETURNED),
        ("a status of next year", DeliveryStatus.ACCEPTED),
    ],
)
async def test_an_event_with_easyposts_id_refreshes_the_delivery_status(
    shop: EasyPostHarness, status: str, expected: DeliveryStatus
) -> None:
    shipment = await shop.dispatch()
    shop.easypost.track(status)

    changed = await shop.refresh(shipment.carrier_reference or "")

    assert (changed.order_id, changed.status) == (shop.request.order_id, expected)


async def test_an_event_of_a_parcel_that_is_not_ours_is_refused(shop: EasyPostHarness) -> None:
    with pytest.raises(LookupError, match="shp_0"):
        await shop.refresh("shp_0")
