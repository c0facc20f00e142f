from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment
from fuze_payment.rules import (
    NextStep,
    Payment,
    PaymentState,
    ProviderPromise,
    RefundState,
    asks_the_same,
    next_step,
    payment_id,
    step_to_void,
    step_when_not_found,
    void_refund_id,
)

_SECOND = timedelta(seconds=1)
_PROMISE = ProviderPromise(keys_kept=100 * _SECOND, settle_window=10 * _SECOND)
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
        "id": payment_id("token"),
        "fencing_token": 1,
        "lease_left": _SECOND,
        "key_age": None,
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


def test_a_token_has_one_payment_id_whoever_asks() -> None:
    assert payment_id("token") == payment_id("token")
    assert payment_id("token") != payment_id("another token")


def test_a_repeat_asks_the_same() -> None:
    assert asks_the_same(_payment(), _command())


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
def test_the_same_token_for_something_else_does_not(changes: dict[str, Any]) -> None:
    assert not asks_the_same(_payment(), _command(**changes))


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (PaymentState.CREATED, NextStep.ASK),
        (RefundState.CREATED, NextStep.ASK),
        (PaymentState.SUBMITTED, NextStep.LOOK_UP),
        (PaymentState.UNKNOWN, NextStep.LOOK_UP),
        (PaymentState.UNDER_REVIEW, NextStep.LOOK_UP),
        (RefundState.SUBMITTED, NextStep.LOOK_UP),
        (RefundState.UNKNOWN, NextStep.LOOK_UP),
    ],
)
def test_only_what_was_never_sent_is_asked_without_looking(
    state: PaymentState | RefundState, step: NextStep
) -> None:
    assert next_step(state) is step


@pytest.mark.parametrize(
    ("key_age", "since_last_submitted", "step"),
    [
        (None, None, NextStep.ASK),
        (0, 0, NextStep.ASK),
        (89, 1, NextStep.ASK),
        (90, 9, NextStep.WAIT),
        (90, 10, NextStep.GIVE_UP),
        (500, 9, NextStep.WAIT),
        (500, 11, NextStep.GIVE_UP),
    ],
)
def test_a_key_is_trusted_while_it_is_young_and_then_only_time_tells(
    key_age: int | None, since_last_submitted: int | None, step: NextStep
) -> None:
    payment = _payment(
        state=PaymentState.UNKNOWN,
        key_age=None if key_age is None else key_age * _SECOND,
        since_last_submitted=None
        if since_last_submitted is None
        else since_last_submitted * _SECOND,
    )

    assert step_when_not_found(payment, _PROMISE) is step


@pytest.mark.parametrize(
    ("since_last_submitted", "step"),
    [(None, NextStep.GIVE_UP), (9, NextStep.WAIT), (10, NextStep.GIVE_UP)],
)
def test_a_void_waits_for_what_may_still_land(
    since_last_submitted: int | None, step: NextStep
) -> None:
    payment = _payment(
        since_last_submitted=None
        if since_last_submitted is None
        else since_last_submitted * _SECOND
    )

    assert step_to_void(payment, _PROMISE) is step


def test_the_refund_that_undoes_a_payment_has_one_name_of_its_own() -> None:
    one, other = payment_id("token"), payment_id("another")

    assert void_refund_id(one) == void_refund_id(one)
    assert len({one, other, void_refund_id(one), void_refund_id(other)}) == 4


def test_each_refused_attempt_to_undo_a_payment_is_followed_by_one_of_another_name() -> None:
    payment = payment_id("token")

    names = [void_refund_id(payment, attempt) for attempt in range(3)]

    assert names[0] == void_refund_id(payment)
    assert len(set(names)) == 3


def test_names_that_the_provider_knows_stay_what_they_are() -> None:
    payment = payment_id("token")

    assert str(payment) == "f36cdabd-505b-5b4d-a32b-e06e5dc68a96"
    assert str(void_refund_id(payment)) == "129fa0e4-cb44-5a9c-be0e-54743ed45a66"
    assert str(void_refund_id(payment, 1)) == "930ff482-5cf2-5d64-8bc3-c12e5a79d2e0"


def test_settled_is_what_nothing_is_left_to_find_out_about() -> None:
    payments = {state.value for state in PaymentState if state.is_settled}
    refunds = {state.value for state in RefundState if state.is_settled}

    assert payments == {"charged", "declined", "voided"}
    assert refunds == {"refunded", "rejected"}
