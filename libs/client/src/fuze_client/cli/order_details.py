"""An order and its events, for people."""

import json
from collections.abc import Sequence
from typing import Any

import click

from fuze_client.cli.output import (
    format_amount,
    format_time,
    print_json,
    print_line,
    print_table,
)
from fuze_client.models import Address, Event, Order, OrderStatusResponse

_HIDDEN_DETAILS = frozenset({"address", "billing_address", "lines", "adjustments", "metadata"})


def print_order(
    order: Order, status: OrderStatusResponse, events: Sequence[Event], *, as_json: bool
) -> None:
    """Print an order, what it waits for, its lines and its timeline."""
    if as_json:
        parts: dict[str, Any] = {
            "order": order.model_dump(mode="json"),
            "status": status.model_dump(mode="json"),
            "events": [event.model_dump(mode="json") for event in events],
        }
        click.echo(json.dumps(parts))
        return
    for label, text in _list_facts(order, status):
        if text:
            print_line(f"{label:<16} {text}")
    if order.lines:
        click.echo()
        columns = ("line id", "sku", "name", "quantity", "unit price", "total")
        print_table(
            columns,
            [
                (
                    line.line_id,
                    line.sku,
                    line.name,
                    line.quantity,
                    format_amount(line.unit_price_minor, order.currency),
                    format_amount(line.total_minor, order.currency),
                )
                for line in order.lines
            ],
        )
    click.echo()
    for event in events:
        print_event(event, as_json=False)


def _list_facts(order: Order, status: OrderStatusResponse) -> list[tuple[str, str | None]]:
    amounts = ("subtotal", "discount", "shipping", "tax", "fee")
    breakdown = [
        f"{name} {format_amount(amount, order.currency)}"
        for name in amounts
        if (amount := getattr(order, f"{name}_minor"))
    ]
    total = format_amount(order.total_minor, order.currency)
    waiting = status.waiting_for
    if waiting and status.deadline:
        waiting = f"{waiting}, until {format_time(status.deadline)}"
    return [
        ("order", str(order.order_id)),
        ("status", f"{order.status}: {order.reason}" if order.reason else order.status),
        ("waits for", waiting),
        ("needs attention", "yes" if order.needs_attention else None),
        ("last error", status.live.last_error if status.live else None),
        ("payment", order.payment_status),
        ("payment method", order.payment_method),
        ("total", f"{total} ({', '.join(breakdown)})" if breakdown else total),
        ("customer", ", ".join(filter(None, (order.customer, order.customer_email)))),
        ("reference", order.reference),
        ("address", _format_address(order.address)),
        ("tracking number", order.tracking_number),
        ("placed", format_time(order.created_at)),
    ]


def _format_address(address: Address | None) -> str:
    if address is None:
        return ""
    lines = (address.name, address.company, address.line1, address.line2)
    place = " ".join(filter(None, (address.city, address.region, address.postal_code)))
    return ", ".join(filter(None, (*lines, place, address.country)))


def print_event(event: Event, *, as_json: bool) -> None:
    """Print an event as a line."""
    if as_json:
        print_json(event)
        return
    details = " ".join(
        f"{name}={value}"
        for name, value in event.details.items()
        if name not in _HIDDEN_DETAILS and value is not None
    )
    print_line(
        f"{format_time(event.occurred_at)}  {event.seq:>3}  {event.type:<24} {event.status:<22}"
        f" {event.payment_status:<18} {event.actor}  {details}".rstrip()
    )
