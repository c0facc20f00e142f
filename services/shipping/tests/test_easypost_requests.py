"""Our requests are those of EasyPost's own Python client, which reads the fake's responses."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import easypost
from fake_easypost import BUYER, SENDER, TEST_KEY, FakeEasyPost

from fuze_contracts.shipping import ParcelItem
from fuze_shipping.carrier import Accepted, Created
from fuze_shipping.carrier.easypost.carrier import open_easypost
from fuze_shipping.carrier.easypost.mapping import build_reference
from fuze_shipping.carrier.settings import CarrierSettings
from fuze_shipping.messages import Shipment, ShipmentState

_SHIPMENT = Shipment(
    id=UUID(int=1),
    order_id=UUID(int=2),
    state=ShipmentState.DISPATCHING,
    dispatch_attempt=1,
    address=BUYER,
    items=(ParcelItem(sku="TEAPOT-1", quantity=3), ParcelItem(sku="LID-1", quantity=2)),
)


async def _call_with_fuze(fake: FakeEasyPost) -> None:
    settings = CarrierSettings(
        carrier="easypost",
        easypost_api_key=TEST_KEY,
        easypost_api_base=fake.url,
        easypost_from_address=SENDER,
        easypost_unit_weight=16,
        easypost_sku_weights={"LID-1": 4.26},  # 56.52 ounces in all
        easypost_parcel={"length": 12, "width": 9, "height": 6},
        easypost_verify_addresses=True,
    )
    async with open_easypost(settings) as carrier:
        created = await carrier.create(_SHIPMENT)
        assert isinstance(created, Created)
        named = _SHIPMENT.model_copy(update={"carrier_reference": created.reference})
        assert isinstance(await carrier.submit(named), Accepted)
        assert isinstance(await carrier.find(named), Accepted)
        assert await carrier.cancel(named)


def _call_with_package(fake: FakeEasyPost) -> None:
    """Make the same calls with the package `easypost`."""
    client = easypost.EasyPostClient(TEST_KEY, api_base=fake.url)
    try:
        client.shipment.retrieve(build_reference(_SHIPMENT))
    except easypost.errors.NotFoundError:
        address = client.address.create(
            verify_strict=True,
            name="Ada",
            street1="179 N Harbor Dr",
            street2="Apt 2",
            city="Redondo Beach",
            state="CA",
            zip="90277",
            country="US",
            phone="+13105550100",
            email="ada@example.com",
        )
    shipment = client.shipment.create(
        reference=build_reference(_SHIPMENT),
        to_address={"id": address.id},
        from_address={
            "company": "Shop",
            "street1": "388 Townsend St",
            "city": "San Francisco",
            "state": "CA",
            "zip": "94107",
            "country": "US",
            "phone": "+14155550100",
        },
        parcel={"length": 12, "width": 9, "height": 6, "weight": 56.5},
    )
    shipment = client.shipment.retrieve(shipment.id)
    rates = client.shipment.regenerate_rates(shipment.id)["rates"]
    bought = client.shipment.buy(shipment.id, rate=min(rates, key=lambda one: float(one.rate)))
    assert client.shipment.retrieve(bought.id).tracking_code
    assert client.shipment.refund(bought.id).refund_status == "submitted"
    client._requests_session.close()


def _list_requests(fake: FakeEasyPost) -> list[dict[str, Any]]:
    """Return the requests, with each id of EasyPost's in place of its random part."""
    text = json.dumps([vars(one) for one in fake.received], sort_keys=True)
    requests: list[dict[str, Any]] = json.loads(re.sub(r"(shp|rate|adr)_[0-9a-f]{32}", r"\1", text))
    return requests


async def test_fuze_sends_what_easyposts_own_client_sends() -> None:
    ours, theirs = (FakeEasyPost(rate_age=timedelta(hours=2)) for _ in range(2))
    await ours.start()
    await theirs.start()

    await _call_with_fuze(ours)
    await asyncio.to_thread(_call_with_package, theirs)

    await ours.stop()
    await theirs.stop()
    assert [one["path"] for one in _list_requests(ours)] == [
        f"/v2/shipments/{build_reference(_SHIPMENT)}",
        "/v2/addresses",
        "/v2/shipments",
        "/v2/shipments/shp",
        "/v2/shipments/shp/rerate",
        "/v2/shipments/shp/buy",
        "/v2/shipments/shp",
        "/v2/shipments/shp/refund",
    ]
    assert _list_requests(ours) == _list_requests(theirs)
