"""What Fuze asks of an order before anyone is asked for approval or money. Pure decisions.

A shop's own rules belong here. One that has to ask another service (is it in stock?) belongs in an
activity of its own, between `validate_order` and the wait for approval.
"""

import re
from collections import Counter

from fuze_contracts.base import Message
from fuze_contracts.money import CURRENCY_EXPONENTS, MAX_AMOUNT_MINOR
from fuze_contracts.order import EventType, PlaceOrder
from fuze_contracts.shipping import Address
from fuze_order.messages import Transition

_ZIP_CODES = {
    "US": re.compile(r"[0-9]{5}(-[0-9]{4})?"),
    "CA": re.compile(r"[A-Z]\d[A-Z] ?\d[A-Z]\d", re.IGNORECASE | re.ASCII),
    "DE": re.compile(r"[0-9]{5}"),
    "FR": re.compile(r"[0-9]{5}"),
    "GB": re.compile(r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}", re.IGNORECASE | re.ASCII),
}
_ANY_ZIP_CODE = re.compile(r"[A-Z0-9][A-Z0-9 -]{0,14}", re.IGNORECASE | re.ASCII)


class Violation(Message):
    """One rule that an order breaks: a stable code and a sentence for a person."""

    code: str
    message: str


def violations(order: PlaceOrder) -> tuple[Violation, ...]:
    """Return every rule that the order breaks; none means that it may proceed."""
    return (*_of_the_address(order.address), *_of_the_lines(order), *_of_the_payment(order))


def is_valid(address: Address) -> bool:
    """Whether the address keeps the rules."""
    return not _of_the_address(address)


def with_valid_address(transition: Transition) -> Transition:
    """Return the transition, or the refusal of the address that it would bring in."""
    found = _of_the_address(transition.address) if transition.address else []
    if not found:
        return transition
    return transition.model_copy(
        update={
            "type": EventType.ADDRESS_CHANGE_REJECTED,
            "address": None,
            "details": {"violations": [violation.model_dump() for violation in found]},
        }
    )


def _of_the_address(address: Address) -> list[Violation]:
    pattern = _ZIP_CODES.get(address.country, _ANY_ZIP_CODE)
    if pattern.fullmatch(address.zip_code):
        return []
    message = f"the zip code is not one of {address.country}"
    return [Violation(code="zip_code_invalid", message=message)]


def _of_the_lines(order: PlaceOrder) -> list[Violation]:
    found = []
    if any(line.quantity < 1 for line in order.lines):
        found.append(
            Violation(code="quantity_invalid", message="each line needs a quantity of at least 1")
        )
    if any(line.unit_price_minor < 0 for line in order.lines):
        found.append(Violation(code="price_invalid", message="a unit price is never negative"))
    repeated = sorted(
        sku for sku, times in Counter(line.sku for line in order.lines).items() if times > 1
    )
    if repeated:
        found.append(
            Violation(code="sku_repeated", message=f"one line an article: {', '.join(repeated)}")
        )
    return found


def _of_the_payment(order: PlaceOrder) -> list[Violation]:
    if order.currency not in CURRENCY_EXPONENTS:
        return [Violation(code="currency_unknown", message="the currency is not in ISO 4217")]
    if order.total_minor > MAX_AMOUNT_MINOR:
        return [Violation(code="total_too_large", message="the total is beyond what Fuze accepts")]
    if order.total_minor > 0 and order.payment_method is None:
        message = "an order that costs something needs a payment method"
        return [Violation(code="payment_method_missing", message=message)]
    return []
