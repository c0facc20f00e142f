"""The rules that an order must satisfy before approval and payment. Pure.

A merchant's own rules belong here. A rule that needs another service, such as an inventory check,
belongs in an activity of its own, between `validate_order` and the wait for approval.
"""

from collections import Counter
from dataclasses import dataclass

from fuze_contracts.address import Address
from fuze_contracts.base import Message
from fuze_contracts.money import CURRENCY_EXPONENTS, MAX_AMOUNT_MINOR
from fuze_contracts.order import EventType, PlaceOrder
from fuze_order.messages import Transition

_LISTED_COUNTRIES = 10


@dataclass(frozen=True, kw_only=True)
class OrderRules:
    """The merchant's own rules, from the settings. An empty `ships_to` is every country."""

    ships_to: frozenset[str] = frozenset()


class Violation(Message):
    """One rule that an order violates: a stable code, and a message for a person."""

    code: str
    message: str


class _Violations(Message):
    violations: tuple[Violation, ...]


def find_violations(order: PlaceOrder, rules: OrderRules) -> tuple[Violation, ...]:
    """Return every violation; none means that the order is valid."""
    return (*check_address(order.address, rules), *_check_lines(order), *_check_payment(order))


def check_address(address: Address, rules: OrderRules) -> list[Violation]:
    """Return the violations of an address. That it is right for its country, the gateway checks."""
    if not rules.ships_to or address.country in rules.ships_to:
        return []
    countries = sorted(rules.ships_to)
    listed = ", ".join(countries[:_LISTED_COUNTRIES])
    if len(countries) > _LISTED_COUNTRIES:
        listed += ", …"
    message = f"orders are not shipped to {address.country}; give an address in {listed}"
    return [Violation(code="country_not_served", message=message)]


def reject_invalid_address(transition: Transition, rules: OrderRules) -> Transition:
    """Return the transition, or the rejection of the invalid address that it contains."""
    violations = check_address(transition.address, rules) if transition.address else []
    if not violations:
        return transition
    return transition.model_copy(
        update={
            "type": EventType.ADDRESS_CHANGE_REJECTED,
            "address": None,
            "details": transition.details
            | {"violations": [violation.model_dump() for violation in violations]},
        }
    )


def describe_violations(rejection: Transition) -> str:
    """Return the messages of the violations for which an address was rejected."""
    found = _Violations.model_validate(rejection.details)
    return "; ".join(violation.message for violation in found.violations)


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
