from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment, RefundPayment, RefundRejection
from fuze_contracts.refund_allocation import LineShare, OrderShares, RefundedLine, RefundLine
from fuze_payment.domain import (
    NextStep,
    Payment,
    PaymentState,
    ProviderGuarantees,
    RefundState,
    decide_refund,
    first_step,
    payment_id,
    step_to_void,
    step_when_not_found,
    void_refund_id,
)

_SECOND = timedelta(seconds=1)
_GUARANTEES = ProviderGuarantees(idempotency_key_ttl=100 * _SECOND, settle_window=10 * _SECOND)
_ORDER = UUID("123e4567-e89b-12d3-a456-426614174000")


def _command(**changes: Any) -> ChargePayment:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": _ORDER,
        "payment_token": "token",
        "amount": Money(amount_minor=100, currency="USD"),
        "payment_method": "pm_card_visa",
    }
    return ChargePayment(**(fields | changes))


def _payment(**changes: Any) -> Payment:  # noqa: ANN401 - a row's columns
    fields: dict[str, Any] = {
        "id": payment_id(_ORDER, "token"),
        "fencing_token": 1,
        "lease_left": _SECOND,
        "key_age": None,
        "first_submitted_at": None,
        "last_submitted_at": None,
        "since_last_submitted": None,
        "created_at": datetime(2026, 11, 24, tzinfo=UTC),
        "payment_token": "token",
        "order_id": _ORDER,
        "amount_minor": 100,
        "currency": "USD",
        "payment_method": "pm_card_visa",
        "state": PaymentState.CREATED,
        "provider_reference": None,
        "decline_code": None,
        "refunded_minor": 0,
        "void_requested": False,
    }
    return Payment(**(fields | changes))


def test_a_token_always_has_the_same_payment_id() -> None:
    assert payment_id(_ORDER, "token") == payment_id(_ORDER, "token")
    assert payment_id(_ORDER, "token") != payment_id(_ORDER, "another token")


def test_a_token_has_another_payment_id_in_another_order() -> None:
    assert payment_id(_ORDER, "token") != payment_id(UUID(int=2), "token")


def test_a_repeated_command_matches_its_payment() -> None:
    assert _payment().matches(_command())


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": uuid4()},
        {"amount": Money(amount_minor=101, currency="USD")},
        {"amount": Money(amount_minor=100, currency="EUR")},
        {"payment_method": "pm_other"},
        {"payment_method": None},
    ],
)
def test_a_command_for_another_charge_does_not_match(changes: dict[str, Any]) -> None:
    assert not _payment().matches(_command(**changes))


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (PaymentState.CREATED, NextStep.SUBMIT),
        (RefundState.CREATED, NextStep.SUBMIT),
        (PaymentState.SUBMITTED, NextStep.LOOK_UP),
        (PaymentState.UNKNOWN, NextStep.LOOK_UP),
        (PaymentState.UNDER_REVIEW, NextStep.LOOK_UP),
        (RefundState.SUBMITTED, NextStep.LOOK_UP),
        (RefundState.UNKNOWN, NextStep.LOOK_UP),
    ],
)
def test_only_an_operation_that_was_never_submitted_skips_the_lookup(
    state: PaymentState | RefundState, step: NextStep
) -> None:
    assert first_step(state) is step


@pytest.mark.parametrize(
    ("key_age", "since_last_submitted", "step"),
    [
        (None, None, NextStep.SUBMIT),
        (0, 0, NextStep.SUBMIT),
        (89, 1, NextStep.SUBMIT),
        (90, 9, NextStep.WAIT),
        (90, 10, NextStep.EXPIRE),
        (500, 9, NextStep.WAIT),
        (500, 11, NextStep.EXPIRE),
    ],
)
def test_a_lookup_that_found_nothing_is_followed_by_the_step_of_the_decision_table(
    key_age: int | None, since_last_submitted: int | None, step: NextStep
) -> None:
    payment = _payment(
        state=PaymentState.UNKNOWN,
        key_age=None if key_age is None else key_age * _SECOND,
        since_last_submitted=None
        if since_last_submitted is None
        else since_last_submitted * _SECOND,
    )

    assert step_when_not_found(payment, _GUARANTEES) is step


@pytest.mark.parametrize(
    ("since_last_submitted", "step"),
    [(None, NextStep.EXPIRE), (9, NextStep.WAIT), (10, NextStep.EXPIRE)],
)
def test_a_void_waits_for_the_settle_window(
    since_last_submitted: int | None, step: NextStep
) -> None:
    payment = _payment(
        since_last_submitted=None
        if since_last_submitted is None
        else since_last_submitted * _SECOND
    )

    assert step_to_void(payment, _GUARANTEES) is step


def test_a_payment_has_one_void_refund_id_of_its_own() -> None:
    one, other = payment_id(_ORDER, "token"), payment_id(_ORDER, "another")

    assert void_refund_id(one) == void_refund_id(one)
    assert len({one, other, void_refund_id(one), void_refund_id(other)}) == 4


def test_each_attempt_of_a_void_refund_has_another_id() -> None:
    payment = payment_id(_ORDER, "token")

    names = [void_refund_id(payment, attempt) for attempt in range(3)]

    assert names[0] == void_refund_id(payment)
    assert len(set(names)) == 3


def test_ids_that_the_provider_has_stored_never_change() -> None:
    payment = payment_id(_ORDER, "token")

    assert str(payment) == "a2643dfd-4d48-5df3-8f79-a08591b09cc4"
    assert str(void_refund_id(payment)) == "f4e0809a-be04-57e4-a137-9d4012082789"
    assert str(void_refund_id(payment, 1)) == "43fd4464-29f1-5265-bc19-2fe3b7524092"


def test_the_settled_states_are_those_with_a_known_outcome() -> None:
    payments = {state.value for state in PaymentState if state.is_settled}
    refunds = {state.value for state in RefundState if state.is_settled}

    assert payments == {"charged", "declined", "voided"}
    assert refunds == {"refunded", "rejected"}


_SHARES = OrderShares(
    lines=(LineShare(line_id="a", quantity=3, amount_minor=100),), shipping_minor=10
)


def _refund(**changes: Any) -> RefundPayment:  # noqa: ANN401 - a message's fields
    return RefundPayment(order_id=_ORDER, payment_token="token", refund_id=uuid4(), **changes)


def _of_line(quantity: int, **changes: Any) -> RefundPayment:  # noqa: ANN401 - a message's fields
    line = RefundLine(line_id="a", quantity=quantity)
    return _refund(lines=(line,), shares=_SHARES, **changes)


@pytest.mark.parametrize(
    ("command", "amount_minor"),
    [
        (_refund(amount=Money(amount_minor=70, currency="USD")), 70),
        (_refund(), 80),
        (_of_line(1), 34),
        (_of_line(2, include_shipping=True), 77),
        (_refund(shares=_SHARES, include_shipping=True), 10),
    ],
    ids=["an amount", "what is left", "a unit", "units and shipping", "shipping"],
)
def test_a_refund_has_the_amount_of_what_is_requested(
    command: RefundPayment, amount_minor: int
) -> None:
    decision = decide_refund(command, 80, [])

    assert (decision.amount_minor, decision.rejection) == (amount_minor, None)


@pytest.mark.parametrize(
    ("command", "refundable_minor", "rejection"),
    [
        (_refund(amount=Money(amount_minor=81, currency="USD")), 80, "more_than_charged"),
        (_refund(), 0, "more_than_charged"),
        (_of_line(2), 33, "more_than_charged"),
        (_of_line(3), 80, "more_than_ordered"),
        (_refund(include_shipping=True), 80, "amount_invalid"),
    ],
    ids=["too much", "nothing left", "too little left", "too many units", "nothing"],
)
def test_a_refund_of_more_than_is_left_is_refused(
    command: RefundPayment, refundable_minor: int, rejection: str
) -> None:
    earlier = [RefundedLine(line_id="a", quantity=1, amount_minor=34)]

    decision = decide_refund(command, refundable_minor, earlier)

    assert decision.rejection == RefundRejection(rejection)


@pytest.mark.parametrize(
    ("command", "refundable_minor", "lines"),
    [
        (_of_line(2, up_to_left=True), 80, [("a", 2, 66)]),
        (_of_line(3, up_to_left=True), 80, [("a", 2, 66)]),
        (_of_line(3, up_to_left=True), 50, [("a", 2, 50)]),
        (_of_line(3, up_to_left=True, include_shipping=True), 70, [("a", 2, 66), (None, 1, 4)]),
    ],
    ids=["all left", "a unit is refunded", "and some money", "and some of the shipping"],
)
def test_a_refund_of_what_is_left_leaves_out_what_others_have(
    command: RefundPayment, refundable_minor: int, lines: list[tuple[str | None, int, int]]
) -> None:
    earlier = [RefundedLine(line_id="a", quantity=1, amount_minor=34)]

    decision = decide_refund(command, refundable_minor, earlier)

    assert decision.rejection is None
    assert [(one.line_id, one.quantity, one.amount_minor) for one in decision.lines] == lines
    assert decision.amount_minor == sum(amount for _, _, amount in lines)


@pytest.mark.parametrize(("units", "refundable_minor"), [(3, 80), (0, 0)], ids=["units", "money"])
def test_a_refund_of_what_is_left_is_of_nothing_where_nothing_is(
    units: int, refundable_minor: int
) -> None:
    earlier = [RefundedLine(line_id="a", quantity=units, amount_minor=0)]

    decision = decide_refund(_of_line(1, up_to_left=True), refundable_minor, earlier)

    assert decision.rejection is RefundRejection.AMOUNT_INVALID
