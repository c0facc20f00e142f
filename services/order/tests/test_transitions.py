"""What each committed status implies."""

import pytest

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order.transitions import (
    ExternalEffect,
    external_effects,
    is_changeable,
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


def test_an_address_change_does_not_repair_a_failing_step() -> None:
    assert needs_attention_after(EventType.ADDRESS_CHANGED, needs_attention=True)
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
