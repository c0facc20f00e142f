"""The rules that an order must satisfy before approval and payment. Pure.

A merchant's own rules belong here. A rule that needs another service, such as an inventory check,
belongs in an activity of its own, between `validate_order` and the wait for approval.
"""

import re
from collections.abc import Mapping

from fuze_contracts import order_rules
from fuze_contracts.money import Money
from fuze_contracts.order import EventType, PlaceOrder
from fuze_contracts.order_rules import Violation
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


def find_violations(
    order: PlaceOrder, max_order_totals: Mapping[str, int]
) -> tuple[Violation, ...]:
    """Return every violation; none means that the order is valid.

    `max_order_totals` are the largest totals that this deployment accepts, in minor units, by
    currency.
    """
    by_itself = order_rules.find_violations(order)
    address = _check_address(order.address) if order.address else []
    return (*address, *(by_itself or _check_limit(order, max_order_totals.get(order.currency))))


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
            "details": {
                "violations": [violation.model_dump(mode="json") for violation in violations]
            },
        }
    )


def _check_address(address: Address) -> list[Violation]:
    pattern = _ZIP_CODES.get(address.country, _ANY_ZIP_CODE)
    if pattern.fullmatch(address.zip_code):
        return []
    message = f"the zip code is not valid in {address.country}"
    location = ("address", "zip_code")
    return [Violation(code="zip_code_invalid", message=message, location=location)]


def _check_limit(order: PlaceOrder, max_total_minor: int | None) -> list[Violation]:
    if max_total_minor is None or order.total_minor <= max_total_minor:
        return []
    limit = Money(amount_minor=max_total_minor, currency=order.currency)
    message = f"the total of {order.total} exceeds the limit of {limit}; split the order"
    return [Violation(code="total_above_limit", message=message, location=("lines",))]
