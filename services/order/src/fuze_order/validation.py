"""The rules that an order must satisfy before approval and payment. Pure.

A merchant's own rules belong here. They must not raise: an order has no row before it is validated.
A rule that needs another service, such as an inventory check, belongs in an activity of its own,
between `order_received` and the wait for approval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fuze_contracts import order_rules
from fuze_contracts.address import Address
from fuze_contracts.money import Money
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_rules import Violation
from fuze_contracts.order_states import EventType
from fuze_order.messages import Transition

_LISTED_COUNTRIES = 10


@dataclass(frozen=True, kw_only=True)
class OrderRules:
    """The merchant's own rules, from the settings.

    An empty `ships_to` is every country. `max_order_totals` are the largest totals, in minor units,
    by currency; a currency without one has no limit.
    """

    ships_to: frozenset[str] = frozenset()
    max_order_totals: Mapping[str, int] = field(default_factory=dict)


def find_violations(order: PlaceOrder, rules: OrderRules) -> tuple[Violation, ...]:
    """Return every violation; none means that the order is valid."""
    by_itself = order_rules.find_violations(order)
    address = check_address(order.address, rules) if order.address else []
    return (*address, *(by_itself or _check_limit(order, rules)))


def check_address(address: Address, rules: OrderRules) -> list[Violation]:
    """Return the violations of an address. That it is right for its country, the gateway checks."""
    if not rules.ships_to or address.country in rules.ships_to:
        return []
    countries = sorted(rules.ships_to)
    listed = ", ".join(countries[:_LISTED_COUNTRIES])
    if len(countries) > _LISTED_COUNTRIES:
        listed += ", …"
    message = f"orders are not shipped to {address.country}; give an address in {listed}"
    location = ("address", "country")
    return [Violation(code="country_not_served", message=message, location=location)]


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
            | {"violations": [violation.model_dump(mode="json") for violation in violations]},
        }
    )


def _check_limit(order: PlaceOrder, rules: OrderRules) -> list[Violation]:
    limit_minor = rules.max_order_totals.get(order.currency)
    if limit_minor is None or order.total_minor <= limit_minor:
        return []
    limit = Money(amount_minor=limit_minor, currency=order.currency)
    message = f"the total of {order.total} exceeds the limit of {limit}; split the order"
    return [Violation(code="total_above_limit", message=message, location=("lines",))]
