"""The scenarios of a seed: how each order is placed, and which actions follow.

Order `n` of a seed is the same however many orders the run has. What happens to it depends on the
faults; whether that is right is for the checker to say.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from fuze_chaos.reference_model import TERMINAL_STATUSES

Body = dict[str, Any]

_AWAITING_PAYMENT_METHOD = frozenset({"awaiting_payment_method"})
_AWAITING_ADDRESS = frozenset({"awaiting_address"})


@dataclass(frozen=True)
class Action:
    """An operation on an order, `delay` seconds after the action before it.

    With `wait_for` it waits for one of these statuses first, and is skipped if the order ends in
    another. `copies` identical requests are sent concurrently, under each of so many idempotency
    `keys` where the operation needs one. `then` are the changes that follow the request of a
    return.
    """

    operation: str
    delay: float = 0
    wait_for: frozenset[str] | None = None
    body: Body = field(default_factory=dict)
    copies: int = 1
    keys: int = 1
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One order: how it is placed, and the actions that follow.

    With an `idempotency_key` the order is placed without an id. `copies` identical requests place
    it concurrently. `reuses_key` adds one with another body, which must be rejected.
    """

    name: str
    order_id: UUID
    body: Body
    actions: tuple[Action, ...] = ()
    idempotency_key: str | None = None
    copies: int = 1
    reuses_key: bool = False


_FLAKY_PAYMENT_METHODS = (
    "delayed_commit",
    "response_dropped",
    "error_once",
    "rate_limited",
    "slow",
)
_FLAKY_ADDRESSES = ("response_dropped", "delayed_commit", "error_once", "rate_limited", "slow")
_DECLINED_METHODS = ("pm_declined", "pm_insufficient_funds", "pm_fraud")

# How often each of these happens.
_FLAKY_PAYMENT = 0.35
_FLAKY_DISPATCH = 0.25
_ADDRESS_CORRECTED = 0.7
_METHOD_CHANGED = 0.6
_CANCELLED_UNDER_REVIEW = 0.3
_KEY_REUSED = 0.3


class _Generator:
    """Draws the parts of one order's scenario."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = random.Random(f"{seed}/order/{number}")  # noqa: S311 - reproducible on purpose
        self.order_id = UUID(int=self.rng.getrandbits(128), version=4)
        self._number = number

    def delay(self, longest: float = 1.5) -> float:
        return round(self.rng.uniform(0, longest), 3)

    def is_drawn(self, share: float) -> bool:
        return self.rng.random() < share

    def body(self, **fields: Any) -> Body:  # noqa: ANN401 - fields of the request
        # Above FUZE_AUTO_APPROVE_LIMITS at any quantity.
        price = self.rng.randint(1001, 99_999)
        body: Body = {
            "customer": f"customer-{self._number % 97}@example.com",
            "lines": [_line("TEAPOT-1", price, self.rng.randint(1, 9))],
            "currency": self.rng.choice(("USD", "EUR", "JPY")),
            "payment_method": self.payment_method(),
            "address": self.address(),
        }
        return body | fields

    def payment_method(self) -> str:
        if self.is_drawn(_FLAKY_PAYMENT):
            return f"pm_{self.rng.choice(_FLAKY_PAYMENT_METHODS)}"
        return "pm_card_visa"

    def address(self) -> Body:
        number = self.rng.randint(0, 199)
        line1 = f"{number} Elm Street"
        if self.is_drawn(_FLAKY_DISPATCH):
            line1 = self.rng.choice(_FLAKY_ADDRESSES)
        return {
            "country": "US",
            "name": "Ada",
            "line1": line1,
            "city": "New York",
            "region": "NY",
            "postal_code": f"10{number:03}",
        }

    def approve(self, *, copies: int = 1) -> Action:
        operation = self.rng.choice(("approve", "approve", "signal-approve"))
        return Action(operation, self.delay(), body={"actor": "grace"}, copies=copies)

    def cancel(self, longest_delay: float) -> Action:
        body = {"actor": "ada", "reason": "bought elsewhere"}
        return Action("cancel", self.delay(longest_delay), body=body)

    def scenario(self, name: str, *actions: Action, **fields: Any) -> Scenario:  # noqa: ANN401 - fields of the scenario
        body = fields.pop("body", None) or self.body()
        return Scenario(name, self.order_id, body, actions, **fields)


def _line(sku: str, price: int, quantity: int = 1) -> Body:
    return {"sku": sku, "quantity": quantity, "unit_price_minor": price}


def _plain(draw: _Generator) -> Scenario:
    return draw.scenario("plain", draw.approve())


def _repeated_requests(draw: _Generator) -> Scenario:
    actions = (draw.approve(copies=5), draw.approve(copies=3))
    return draw.scenario("repeated-requests", *actions, copies=3)


def _auto_approved(draw: _Generator) -> Scenario:
    body = draw.body(lines=[_line("SPOON-1", 900)], currency="USD")
    return draw.scenario("auto-approved", body=body)


def _zero_total(draw: _Generator) -> Scenario:
    return draw.scenario("zero-total", draw.approve(), body=draw.body(lines=[]))


def _without_shipping(draw: _Generator) -> Scenario:
    line = _line("EBOOK", draw.rng.randint(1001, 9999)) | {"requires_shipping": False}
    body = draw.body(lines=[line])
    del body["address"]
    actions = (draw.approve(), draw.cancel(5)) if draw.is_drawn(0.3) else (draw.approve(),)
    return draw.scenario("without-shipping", *actions, body=body)


def _with_adjustments(draw: _Generator) -> Scenario:
    price, discount = draw.rng.randint(2000, 99_999), draw.rng.randint(1, 1000)
    lines = [
        _line("TEAPOT-1", price, 2) | {"discount_minor": discount, "tax_minor": price // 10},
        _line("TEAPOT-1", 0) | {"name": "A free teapot"},
        _line("MANUAL", 500) | {"requires_shipping": False},
    ]
    adjustments = [
        {"kind": "discount", "label": "Spring sale", "amount_minor": discount},
        {"kind": "shipping", "label": "Standard shipping", "amount_minor": 499},
    ]
    body = draw.body(lines=lines, adjustments=adjustments)
    return draw.scenario("with-adjustments", draw.approve(), body=body)


def _not_served(draw: _Generator) -> Scenario:
    body = draw.body(address={"country": "FR", "postal_code": "75001"})
    return draw.scenario("not-served", draw.approve(), body=body)


def _rejected(draw: _Generator) -> Scenario:
    reject = Action("reject", draw.delay(), body={"actor": "grace", "reason": "too many teapots"})
    return draw.scenario("rejected", reject)


def _expired(draw: _Generator) -> Scenario:
    late = Action("approve", draw.delay(), wait_for=TERMINAL_STATUSES, body={"actor": "grace"})
    return draw.scenario("expired", *draw.rng.choice(((), (late,))))


def _cancelled_before_approval(draw: _Generator) -> Scenario:
    return draw.scenario("cancelled-before-approval", draw.cancel(1.5))


def _cancelled_after_approval(draw: _Generator) -> Scenario:
    actions = (draw.approve(), draw.cancel(draw.rng.choice((0.3, 2, 8))))
    return draw.scenario("cancelled-after-approval", *actions)


def _cancelled_asynchronously(draw: _Generator) -> Scenario:
    operation = draw.rng.choice(("signal-cancel", "cancel-workflow"))
    actions = (draw.approve(), Action(operation, draw.delay(5)))
    return draw.scenario("cancelled-asynchronously", *actions)


def _address_changed(draw: _Generator) -> Scenario:
    changes = (
        Action(
            draw.rng.choice(("change-address", "change-address", "signal-change-address")),
            draw.delay(2.5),
            body={"address": draw.address(), "actor": "ada"},
        )
        for _ in range(draw.rng.randint(1, 3))
    )
    return draw.scenario("address-changed", draw.approve(), *changes)


def _carrier_rejects_address(draw: _Generator) -> Scenario:
    actions = [draw.approve()]
    if draw.is_drawn(_ADDRESS_CORRECTED):
        body = {"address": draw.address()}
        actions.append(
            Action("change-address", draw.delay(3), wait_for=_AWAITING_ADDRESS, body=body)
        )
    body = draw.body(address=draw.address() | {"line1": "rejected"})
    return draw.scenario("carrier-rejects-address", *actions, body=body)


def _payment_declined(draw: _Generator) -> Scenario:
    actions = [draw.approve()]
    if draw.is_drawn(_METHOD_CHANGED):
        body = {"payment_method": draw.payment_method(), "actor": "ada"}
        wait_for = _AWAITING_PAYMENT_METHOD
        actions.append(Action("change-payment-method", draw.delay(2), wait_for=wait_for, body=body))
    body = draw.body(payment_method=draw.rng.choice(_DECLINED_METHODS))
    return draw.scenario("payment-declined", *actions, body=body)


def _payment_under_review(draw: _Generator) -> Scenario:
    decision = draw.rng.choice(("charged", "charged", "declined"))
    actions = [draw.approve(), Action("decide-review", draw.delay(4), body={"status": decision})]
    if draw.is_drawn(_CANCELLED_UNDER_REVIEW):
        actions.insert(1, draw.cancel(3))
    body = draw.body(payment_method="pm_under_review")
    return draw.scenario("payment-under-review", *actions, body=body)


def _idempotency_key(draw: _Generator) -> Scenario:
    return draw.scenario(
        "idempotency-key",
        draw.approve(),
        idempotency_key=f"key-{draw.order_id}",
        copies=draw.rng.randint(1, 4),
        reuses_key=draw.is_drawn(_KEY_REUSED),
    )


def _order_id_reused(draw: _Generator) -> Scenario:
    return draw.scenario("order-id-reused", draw.approve(), copies=2, reuses_key=True)


def _refunded(draw: _Generator) -> Scenario:
    body = draw.body()
    [line] = body["lines"]
    total = line["quantity"] * line["unit_price_minor"]
    a_unit: Body = {"lines": [{"line_id": "1", "quantity": 1}], "reason": "one was broken"}
    some: Body = {"amount_minor": draw.rng.randint(1, total), "reason": "late"}
    most: Body = {"amount_minor": total * 6 // 10, "reason": "two at once"}
    refunds = draw.rng.choice(
        (
            [Action("refund", body=some, copies=2)],
            [Action("refund", body=a_unit, copies=2), Action("refund", body=a_unit)],
            [Action("refund", body=some), Action("refund", body={})],
            [Action("refund", body={}, copies=2), Action("refund", body=a_unit)],
            # Together more than the charge: one of them has to be refused.
            [Action("refund", body=most, keys=2)],
        )
    )
    first = replace(refunds[0], delay=draw.delay(), wait_for=TERMINAL_STATUSES)
    return draw.scenario("refunded", draw.approve(), first, *refunds[1:], body=body)


def _goods_returned(draw: _Generator) -> Scenario:
    body = draw.body()
    quantity = body["lines"][0]["quantity"]
    refunded = ("approve", "receive")

    def send_back(units: int, *then: str) -> Action:
        lines = [{"line_id": "1", "quantity": units}]
        return Action("return", body={"lines": lines, "reason": "does not fit"}, then=then)

    some = draw.rng.randint(1, quantity)
    a_unit: Body = {"lines": [{"line_id": "1", "quantity": 1}], "reason": "one was broken"}
    an_amount: Body = {"amount_minor": draw.rng.randint(1, 1000), "reason": "late"}
    actions = draw.rng.choice(
        (
            [replace(send_back(some, *refunded), copies=2)],
            # All units twice: one of them has to be refused.
            [replace(send_back(quantity, *refunded), keys=2)],
            [send_back(quantity, "reject"), send_back(quantity, *refunded)],
            [send_back(quantity, "approve", "cancel"), send_back(some, *refunded)],
            [send_back(some, *refunded), Action("refund", body=a_unit)],
            [Action("refund", body=a_unit), send_back(some, *refunded)],
            # Money that the refund of the return has to leave out.
            [Action("refund", body=an_amount), send_back(quantity, *refunded)],
        )
    )
    first = replace(actions[0], delay=draw.delay(), wait_for=TERMINAL_STATUSES)
    return draw.scenario("goods-returned", draw.approve(), first, *actions[1:], body=body)


def _conflicting_decisions(draw: _Generator) -> Scenario:
    decisions = [
        Action("approve", body={"actor": "grace"}),
        Action("reject", body={"actor": "linus", "reason": "no"}),
        Action("cancel", body={"actor": "ada"}),
        Action("change-address", body={"address": draw.address()}),
    ]
    draw.rng.shuffle(decisions)
    first, *rest = decisions
    delayed = Action(first.operation, draw.delay(), body=first.body)
    return draw.scenario("conflicting-decisions", delayed, *rest)


WEIGHTS: dict[Callable[[_Generator], Scenario], int] = {
    _plain: 24,
    _repeated_requests: 5,
    _auto_approved: 6,
    _zero_total: 4,
    _without_shipping: 5,
    _with_adjustments: 5,
    _not_served: 5,
    _rejected: 5,
    _expired: 4,
    _cancelled_before_approval: 4,
    _cancelled_after_approval: 13,
    _cancelled_asynchronously: 5,
    _address_changed: 6,
    _carrier_rejects_address: 5,
    _payment_declined: 6,
    _payment_under_review: 4,
    _idempotency_key: 6,
    _order_id_reused: 3,
    _refunded: 4,
    _goods_returned: 4,
    _conflicting_decisions: 4,
}


def build_scenario(seed: int, number: int) -> Scenario:
    """Return the scenario of one order of a seed."""
    generator = _Generator(seed, number)
    (build,) = generator.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return build(generator)
