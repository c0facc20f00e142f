"""The rules that a new order must satisfy before it is accepted."""

from collections.abc import Iterator

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
