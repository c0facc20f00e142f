"""The rules that an order must satisfy by itself, whatever the settings of a deployment. Pure.

The gateway refuses a request that violates one, with the field that is wrong. The order service
applies the same rules, because a workflow can also be started without the gateway.
"""

from collections.abc import Iterator

from fuze_contracts.base import Message
from fuze_contracts.money import CURRENCY_EXPONENTS, MAX_AMOUNT_MINOR
from fuze_contracts.order import PlaceOrder


class Violation(Message):
    """One rule that an order violates: a stable code, and a message for a person.

    `location` is the path of the field that is wrong, such as `("lines", 0, "quantity")`; empty
    where no field of the order is.
    """

    code: str
    message: str
    location: tuple[str | int, ...] = ()


def find_violations(order: PlaceOrder) -> tuple[Violation, ...]:
    """Return every violation; none means that the order is valid by itself."""
    found = (*_check_lines(order), *_check_adjustments(order))
    # The sums of invalid amounts say nothing.
    return (*_check_address(order), *(found or _check_total(order)), *_check_currency(order))


def _check_address(order: PlaceOrder) -> Iterator[Violation]:
    if order.address is None and order.requires_shipping:
        yield Violation(
            code="address_missing",
            message="an order that is shipped needs an address; send one, or set"
            " requires_shipping to false on every line that is not shipped",
            location=("address",),
        )


def _check_lines(order: PlaceOrder) -> Iterator[Violation]:
    positions: dict[str, int] = {}
    for index, line in enumerate(order.lines):
        at = ("lines", index)
        if line.quantity < 1:
            message = "each line needs a quantity of at least 1"
            yield Violation(code="quantity_invalid", message=message, location=(*at, "quantity"))
        for name in ("unit_price_minor", "discount_minor", "tax_minor"):
            if getattr(line, name) < 0:
                yield _negative_amount(*at, name)
        if line.total_minor < 0 <= line.unit_price_minor:
            yield Violation(
                code="line_total_negative",
                message=f"the discount of {line.discount_minor} exceeds what the line costs,"
                f" {line.total_minor + line.discount_minor}; lower it",
                location=(*at, "discount_minor"),
            )
        earlier = positions.setdefault(line.line_id, index)
        if earlier != index:
            yield Violation(
                code="line_id_repeated",
                message=f"line {earlier + 1} has the line_id {line.line_id!r}, too; give each"
                " line its own (without one it is the line's position)",
                location=(*at, "line_id"),
            )


def _check_adjustments(order: PlaceOrder) -> Iterator[Violation]:
    for index, adjustment in enumerate(order.adjustments):
        if adjustment.amount_minor < 0:
            yield _negative_amount("adjustments", index, "amount_minor")


def _negative_amount(*location: str | int) -> Violation:
    message = "an amount must not be negative; a discount is subtracted by itself"
    return Violation(code="amount_negative", message=message, location=location)


def _check_total(order: PlaceOrder) -> Iterator[Violation]:
    totals = order.totals
    sums = (totals.subtotal_minor, totals.discount_minor, totals.shipping_minor, totals.tax_minor)
    if max(*sums, totals.fee_minor, totals.total_minor) > MAX_AMOUNT_MINOR:
        yield Violation(
            code="total_too_large",
            message=f"the sums must not exceed {MAX_AMOUNT_MINOR} minor units; split the order",
            location=("lines",),
        )
    elif totals.total_minor < 0:
        yield Violation(
            code="total_negative",
            message=f"the discounts exceed the order by {-totals.total_minor}; lower them",
            location=("adjustments",),
        )
    elif totals.total_minor > 0 and order.payment_method is None:
        yield Violation(
            code="payment_method_missing",
            message="an order that costs something needs a payment method; send the payment"
            " provider's id of one",
            location=("payment_method",),
        )


def _check_currency(order: PlaceOrder) -> Iterator[Violation]:
    if order.currency not in CURRENCY_EXPONENTS:
        message = "the currency is not an ISO 4217 code that is in use, such as USD"
        yield Violation(code="currency_unknown", message=message, location=("currency",))
