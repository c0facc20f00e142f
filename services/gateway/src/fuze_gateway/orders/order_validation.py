"""The rules of an order that a request must satisfy before it is accepted."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_rules import find_violations
from fuze_gateway.orders.schemas.orders import PlaceOrderRequest
from fuze_gateway.problems import errors
from fuze_gateway.problems.errors import FieldError
from fuze_psp.registry import explain_unsupported_amount
from fuze_psp.settings import PaymentProviderName


def find_errors(order: PlaceOrder, request: PlaceOrderRequest) -> Iterator[FieldError]:
    """Yield every field that is wrong, as far as the request alone decides it."""
    violations = find_violations(order)
    yield from ((("body", *one.location), one.message) for one in violations)
    given = request.total_minor
    if given is not None and given != order.total_minor:
        message = (
            f"is {given}, but the lines and adjustments sum to {order.total_minor}; correct one of"
            " them, or leave total_minor out"
        )
        yield ("body", "total_minor"), message


def require_chargeable(order: PlaceOrder, provider: PaymentProviderName) -> None:
    """Reject a total that the payment provider cannot charge.

    Only new orders are checked: another provider may have been configured when an earlier request
    was accepted.

    Raises:
        RequestValidationError: with the reason, and the amounts that the provider can charge.

    """
    if reason := explain_unsupported_amount(provider, order.total):
        raise errors.invalid_fields([(("body", "currency"), reason)])


def require_known_lines(line_ids: Iterable[str], order: Mapping[str, Any]) -> None:
    """Return if each of a body's `lines` names a line of the order.

    Raises:
        RequestValidationError: with every line that does not.

    """
    known = {line["line_id"] for line in order["lines"]}
    unknown: list[FieldError] = [
        (("body", "lines", position, "line_id"), "must be a line_id of the order")
        for position, line_id in enumerate(line_ids)
        if line_id not in known
    ]
    if unknown:
        raise errors.invalid_fields(unknown)
