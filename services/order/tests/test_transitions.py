"""What each committed status implies."""

import pytest

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_contracts.order_states import EventType as E
from fuze_order.transitions import (
    ExternalEffect,
    external_effects,
    is_changeable,
    is_failure_left,
    needs_attention_after,
    payment_status_after,
    payment_status_after_refund,
    status_after,
)


def test_every_open_order_can_be_changed_and_no_other() -> None:
    is_open = {
        status: not status.is_terminal and status is not OrderStatus.CANCELLING
        for status in OrderStatus
    }

    assert {status: is_changeable(status) for status in OrderStatus} == is_open


@pytest.mark.parametrize(
    ("event", "effects"),
    [
        (EventType.ORDER_APPROVED, ExternalEffect.CHARGE),
        (EventType.PAYMENT_METHOD_CHANGED, ExternalEffect.CHARGE),
        (EventType.PAYMENT_CHARGED, ExternalEffect.CHARGE),
        (EventType.SHIPPING_STARTED, ExternalEffect.CHARGE | ExternalEffect.SHIPMENT),
        (EventType.CARRIER_REJECTED_ADDRESS, ExternalEffect.CHARGE | ExternalEffect.SHIPMENT),
        (EventType.ORDER_VALIDATED, ExternalEffect.NONE),
        (EventType.PAYMENT_DECLINED, ExternalEffect.NONE),
    ],
)
def test_what_may_exist_outside_follows_from_the_committed_status(
    event: EventType, effects: ExternalEffect
) -> None:
    assert external_effects(status_after(event, OrderStatus.RECEIVED)) == effects


def test_an_event_without_a_status_of_its_own_keeps_the_status() -> None:
    assert status_after(EventType.ADDRESS_CHANGED, OrderStatus.PAID) is OrderStatus.PAID
    assert (
        payment_status_after(EventType.ADDRESS_CHANGED, PaymentStatus.CHARGED)
        is PaymentStatus.CHARGED
    )


def test_neither_an_address_change_nor_a_delivery_repairs_what_fails() -> None:
    assert needs_attention_after(EventType.ADDRESS_CHANGED, needs_attention=True)
    assert needs_attention_after(EventType.ORDER_DELIVERED, needs_attention=True)
    assert not needs_attention_after(EventType.RETRY_REQUESTED, needs_attention=True)


@pytest.mark.parametrize(
    ("before", "refunded_minor", "after"),
    [
        (PaymentStatus.CHARGED, 1, PaymentStatus.PARTIALLY_REFUNDED),
        (PaymentStatus.CHARGED, 100, PaymentStatus.REFUNDED),
        (PaymentStatus.PARTIALLY_REFUNDED, 99, PaymentStatus.PARTIALLY_REFUNDED),
        (PaymentStatus.PARTIALLY_REFUNDED, 100, PaymentStatus.REFUNDED),
        (PaymentStatus.REFUNDING, 100, PaymentStatus.REFUNDING),
        (PaymentStatus.REFUNDED, 1, PaymentStatus.REFUNDED),
    ],
)
def test_the_payment_status_says_how_much_of_the_total_is_refunded(
    before: PaymentStatus, refunded_minor: int, after: PaymentStatus
) -> None:
    assert payment_status_after_refund(before, refunded_minor, 100) is after


_ORDER, _MINE, _OTHER = None, "mine", "other"


@pytest.mark.parametrize(
    ("history", "is_left"),
    [
        ([(E.REFUND_REQUESTED, _MINE)], False),
        ([(E.REFUND_FAILED, _OTHER), (E.REFUND_REQUESTED, _MINE)], False),
        ([(E.REFUND_REQUESTED, _MINE), (E.REFUND_FAILED, _OTHER)], True),
        ([(E.REFUND_REQUESTED, _MINE), (E.RETURN_REFUND_FAILED, _OTHER)], True),
        ([(E.RETURN_REFUND_FAILED, _OTHER), (E.REFUND_REQUESTED, _MINE)], False),
        ([(E.NEEDS_ATTENTION, _MINE)], False),
        ([(E.NEEDS_ATTENTION, _OTHER), (E.REFUND_REQUESTED, _MINE)], True),
        ([(E.NEEDS_ATTENTION, _OTHER), (E.PAYMENT_REFUNDED, _OTHER)], False),
        ([(E.NEEDS_ATTENTION, _ORDER), (E.REFUND_REQUESTED, _MINE)], True),
        ([(E.NEEDS_ATTENTION, _ORDER), (E.ORDER_SHIPPED, _ORDER)], False),
        (
            [
                *((E.REFUND_REQUESTED, _MINE), (E.REFUND_FAILED, "a third")),
                *((E.REFUND_REQUESTED, _OTHER), (E.PAYMENT_REFUNDED, _OTHER)),
            ],
            False,
        ),
    ],
    ids=[
        "no failure",
        "requested after a failure",
        "requested before a failure",
        "requested before the failure of a return",
        "requested after the failure of a return",
        "it kept failing itself",
        "another one keeps failing",
        "another one has succeeded",
        "a step of the order keeps failing",
        "the order has gone on",
        "another one has made up for the failure",
    ],
)
def test_a_refund_makes_up_for_the_failures_before_its_request(
    history: list[tuple[EventType, str | None]], *, is_left: bool
) -> None:
    assert is_failure_left([*history, (E.PAYMENT_REFUNDED, _MINE)]) is is_left
