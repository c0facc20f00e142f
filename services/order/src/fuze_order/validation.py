"""The rules that an order must satisfy before approval and payment. Pure.

A merchant's own rules belong here. A rule that needs another service, such as an inventory check,
belongs in an activity of its own, between `validate_order` and the wait for approval.
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
    """One rule that an order violates: a stable code, and a message for a person."""

    code: str
    message: str


def find_violations(order: PlaceOrder) -> tuple[Violation, ...]:
    """Return every violation; none means that the order is valid."""
    return (*_check_address(order.address), *_check_lines(order), *_check_payment(order))


def is_valid(address: Address) -> bool:
    """Whether the address is valid."""
    return not _check_address(address)


def reject_invalid_address(transition: Transition) -> Transition:
    """Return the transition, or the rejection of the invalid address that it contains."""
    violations = _check_address(transition.address) if transition.address else []
    if not violations:
        return transition
    return transition.model_copy(
        update={
            "type": EventType.ADDRESS_CHANGE_REJECTED,
            "address": None,
            "details": {"violations": [violation.model_dump() for violation in violations]},
        }
    )


def _check_address(address: Address) -> list[Violation]:
    pattern = _ZIP_CODES.get(address.country, _ANY_ZIP_CODE)
    if pattern.fullmatch(address.zip_code):
        return []
    message = f"the zip code is not valid in {address.country}"
    return [Violation(code="zip_code_invalid", message=message)]


def _check_lines(order: PlaceOrder) -> list[Violation]:
    found = []
    if any(line.quantity < 1 for line in order.lines):
        found.append(
            Violation(code="quantity_invalid", message="each line needs a quantity of at least 1")
        )
    if any(line.unit_price_minor < 0 for line in order.lines):
        found.append(Violation(code="price_invalid", message="a unit price must not be negative"))
    repeated = sorted(
        sku for sku, times in Counter(line.sku for line in order.lines).items() if times > 1
    )
    if repeated:
        found.append(
            Violation(
                code="sku_repeated",
                message=f"each sku may appear in one line only: {', '.join(repeated)}",
            )
        )
    return found


def _check_payment(order: PlaceOrder) -> list[Violation]:
    if order.currency not in CURRENCY_EXPONENTS:
        return [Violation(code="currency_unknown", message="the currency is not an ISO 4217 code")]
    if order.total_minor > MAX_AMOUNT_MINOR:
        return [Violation(code="total_too_large", message="the total exceeds the maximum amount")]
    if order.total_minor > 0 and order.payment_method is None:
        message = "an order that costs something needs a payment method"
        return [Violation(code="payment_method_missing", message=message)]
    return []
