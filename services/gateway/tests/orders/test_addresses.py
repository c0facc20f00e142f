"""The addresses of requests. The cases are public bug reports of commerce systems."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.exceptions import RequestValidationError
from gateway_harness import WHOLE_ADDRESS
from pydantic import ValidationError
from temporalio.client import Client

from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.auth.principals import ANONYMOUS
from fuze_gateway.orders.idempotency import build_place_order
from fuze_gateway.orders.schemas.commands import ChangeAddressRequest
from fuze_gateway.orders.schemas.orders import PlaceOrderRequest
from fuze_gateway.settings import GatewaySettings

_ORDER_ID = UUID("123e4567-e89b-12d3-a456-426614174000")
_BERLIN = {
    "country": "DE",
    "name": "Ada Beispiel",
    "line1": "Teststr. 1",
    "city": "Berlin",
    "zip_code": "10115",
}


def _build(body: dict[str, Any], **settings: Any) -> PlaceOrder:  # noqa: ANN401 - any settings
    request = PlaceOrderRequest.model_validate(body)
    gateway = GatewaySettings(database_url="postgresql://nowhere/", **settings)
    return build_place_order(_ORDER_ID, request, gateway, ANONYMOUS)


def _errors(body: dict[str, Any], **settings: Any) -> dict[tuple[str, ...], str]:  # noqa: ANN401 - likewise
    with pytest.raises((RequestValidationError, ValidationError)) as rejected:
        _build(body, **settings)
    return {tuple(error["loc"]): error["msg"] for error in rejected.value.errors()}


def _change(address: dict[str, Any]) -> dict[str, Any]:
    return ChangeAddressRequest.model_validate({"address": address}).to_message_fields()


def test_the_readme_order_needs_a_zip_code_only() -> None:
    order = _build({"address": {"zip_code": "10001"}})

    assert order.address.model_dump(exclude_none=True) == {"country": "US", "postal_code": "10001"}
    assert order.entered_address is None


@pytest.mark.parametrize(
    "field",
    [
        # opencart#4431, woocommerce-services#2276, ecommerce_integrations#234
        {"company": "Musterfirma Beispielhandelsgesellschaft mbH & Co. KG"},
        {"line1": "Y" * 255},
        {"line2": "Hinterhaus"},
        {"email": "ada@example.com"},
        {"phone": "+49305550100"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_an_address_has_every_field_of_a_label(field: dict[str, str]) -> None:
    address = _build({"address": _BERLIN | field}).address

    assert address.model_dump(include=set(field)) == field


def test_a_field_that_is_too_long_says_how_long_it_may_be() -> None:
    [message] = _errors({"address": _BERLIN | {"line1": "Y" * 256}}).values()

    assert message == "String should have at most 255 characters"


@pytest.mark.parametrize(
    ("entered", "normalized"),
    [
        # PrestaShop#25848
        ({"country": "DE", "zip_code": "10115 "}, {"postal_code": "10115"}),
        ({"country": "CA", "zip_code": "K1A-0B1"}, {"postal_code": "K1A 0B1"}),
        ({"country": "de", "zip_code": "10115"}, {"country": "DE", "postal_code": "10115"}),
        ({"country": "DE", "zip_code": "10115", "phone": "030 5550100"}, {"phone": "+49305550100"}),
    ],
)
def test_an_address_is_normalised_and_the_callers_spelling_is_kept(
    entered: dict[str, str], normalized: dict[str, str]
) -> None:
    order = _build({"address": entered})

    assert order.address.model_dump(include=set(normalized)) == normalized
    if entered["country"] != "de":
        assert order.entered_address
        spelling = order.entered_address.model_dump(exclude_none=True)
        assert spelling == {"postal_code": entered["zip_code"]} | {
            name: text for name, text in entered.items() if name != "zip_code"
        }


def test_hong_kong_has_no_postal_codes() -> None:
    # odoo#985, woocommerce#10663
    address = {"country": "HK", "zip_code": "", "line1": "1 Queen's Road", "city": "Hong Kong"}

    assert _build({"address": address}).address.postal_code is None


@pytest.mark.parametrize(
    ("country", "message"),
    [
        # woocommerce-payments#7888
        ("UK", "Value error, must be GB for the United Kingdom"),
        ("ZZ", "Value error, must be an ISO 3166-1 alpha-2 code, such as DE"),
        ("XK", "Value error, must be an ISO 3166-1 alpha-2 code, such as DE"),
        ("Germany", "Value error, must be an ISO 3166-1 alpha-2 code, such as DE"),
    ],
)
def test_an_unknown_country_is_an_error_of_its_field(country: str, message: str) -> None:
    address = {"country": country, "zip_code": "SW1A 1AA", "line1": "1 High St", "city": "Town"}

    assert _errors({"address": address}) == {("address", "country"): message}


def test_every_wrong_field_of_both_addresses_is_named() -> None:
    body = {
        "address": {"country": "DE", "zip_code": "1", "phone": "?"},
        "billing_address": {"country": "CA", "postal_code": "1", "email": "?"},
    }

    assert set(_errors(body)) == {
        ("body", "address", "zip_code"),
        ("body", "address", "phone"),
        ("body", "billing_address", "postal_code"),
        ("body", "billing_address", "email"),
    }


def test_what_is_wrong_with_an_address_and_with_a_line_is_named_together() -> None:
    line = {"sku": "SOCKS", "quantity": 1, "unit_price_minor": 100, "discount_minor": 200}
    body = {"address": {"country": "DE", "zip_code": "1"}, "lines": [line], "total_minor": 100}

    assert set(_errors(body)) == {
        ("body", "address", "zip_code"),
        ("body", "lines", 0, "discount_minor"),
        ("body", "total_minor"),
    }


def test_two_names_of_the_postal_code_must_not_differ() -> None:
    same = {"zip_code": "10001", "postal_code": "10001 "}
    assert _build({"address": same}).address.postal_code == "10001"

    assert _errors({"address": same | {"zip_code": "94105"}}) == {
        ("body", "address", "zip_code"): "is another name of postal_code: send one of the two"
    }


def test_a_blank_postal_code_beside_a_zip_code_is_as_if_absent() -> None:
    address = {"zip_code": "10001", "postal_code": " "}
    assert _build({"address": address}).address.postal_code == "10001"


def test_a_billing_address_is_kept_beside_the_delivery_address() -> None:
    # saleor#6705
    order = _build({"address": _BERLIN, "billing_address": _BERLIN | {"zip_code": "80331 "}})

    assert order.address.postal_code == "10115"
    assert order.billing_address
    assert order.billing_address.postal_code == "80331"
    assert order.entered_billing_address
    assert order.entered_billing_address.postal_code == "80331 "


def test_a_billing_address_has_no_default_country() -> None:
    errors = _errors({"address": _BERLIN, "billing_address": {"zip_code": "10001"}})

    assert errors == {("billing_address", "country"): "Field required"}


def test_production_requires_what_the_country_requires() -> None:
    keys = {"cursor_signing_key": "c" * 32, "order_id_key": "o" * 32}
    insecure = {"allow_insecure_temporal": True, "allow_sandbox_provider": True}
    production = keys | insecure | {"environment": "production", "authentication": "required"}

    assert set(_errors({"address": {"zip_code": "10001"}}, **production)) == {
        ("body", "address", field) for field in ("country", "line1", "city", "region")
    }
    assert _build({"address": _BERLIN}, **production).address.city == "Berlin"
    minimal = production | {"address_rules": "minimal"}
    assert _build({"address": {"zip_code": "10001"}}, **minimal).address.country == "US"


def test_deliverable_rules_are_a_setting() -> None:
    errors = _errors({"address": {"country": "DE"}}, address_rules="deliverable")

    assert set(errors) == {("body", "address", name) for name in ("line1", "city", "postal_code")}


def test_a_change_has_no_default_country() -> None:
    # medusa#2682
    with pytest.raises(ValidationError) as rejected:
        _change({"zip_code": "80331"})

    assert [error["loc"] for error in rejected.value.errors()] == [("address", "country")]


@pytest.mark.parametrize("missing", ["name", "line1", "city", "zip_code"])
def test_a_change_needs_the_whole_address(missing: str) -> None:
    address = {name: text for name, text in _BERLIN.items() if name != missing}

    with pytest.raises(RequestValidationError) as rejected:
        _change(address)

    field = "postal_code" if missing == "zip_code" else missing
    assert [error["loc"] for error in rejected.value.errors()] == [("body", "address", field)]


def test_a_change_may_name_a_company_instead_of_a_person() -> None:
    address = _BERLIN | {"name": None, "company": "Musterfirma", "zip_code": "10115 "}

    changed = _change(address)

    assert (changed["address"].company, changed["address"].postal_code) == ("Musterfirma", "10115")
    assert changed["entered_address"].postal_code == "10115 "


async def test_an_incomplete_change_never_reaches_the_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await gateway.post(f"/orders/{order_id}/start", json={"address": _BERLIN})

    changes = [
        await gateway.put(f"/orders/{order_id}/address", json={"address": address})
        for address in ({"zip_code": "80331"}, {"zip_code": "80331", "country": "DE"})
    ]

    assert [change.status_code for change in changes] == [422, 422]
    assert changes[0].json()["errors"] == [
        {"loc": ["body", "address", "country"], "message": "is required"}
    ]
    assert {error["loc"][-1] for error in changes[1].json()["errors"]} == {"name", "line1", "city"}
    status = (await gateway.get(f"/orders/{order_id}/status")).json()
    assert status["reason"] == "10115"  # the fake workflow reports its postal code there


async def test_a_wrong_address_is_a_422_before_the_order_is_accepted(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    body = {"address": {"country": "DE", "zip_code": "1011"}}

    response = await gateway.post(f"/orders/{order_id}/start", json=body)

    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-request"
    assert response.json()["errors"] == [
        {
            "loc": ["body", "address", "zip_code"],
            "message": "is not valid in DE; give one such as 26133, 53225",
        }
    ]
    assert (await gateway.get(f"/orders/{order_id}/status")).status_code == 404


async def test_the_order_gets_both_spellings(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    body = {"address": _BERLIN | {"zip_code": "D-10115"}, "billing_address": WHOLE_ADDRESS}
    await gateway.post(f"/orders/{order_id}/start", json=body)

    workflow = temporal.get_workflow_handle_for(OrderWorkflow.run, order_workflow_id(order_id))
    history = await workflow.fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    [order] = await temporal.data_converter.decode(payloads, [PlaceOrder])
    assert order.address.postal_code == "10115"
    assert order.entered_address.postal_code == "D-10115"
    assert order.billing_address.city == "San Francisco"
