"""`fuze orders`: find orders, read them, and decide about them."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

import click

from fuze_client.cli.connection import EXIT_CODES, ExitCode, connect
from fuze_client.cli.decisions import DECISIONS
from fuze_client.cli.options import api_options, order_argument
from fuze_client.cli.order_details import print_event, print_order
from fuze_client.cli.order_placement import place
from fuze_client.cli.output import format_amount, print_json, print_table
from fuze_client.enumerations import OrderStatus

_STATUSES = get_args(OrderStatus)
_ORDERS = ["-created_at", "created_at", "-updated_at", "updated_at"]
_FULFILLED = frozenset({"shipped", "delivered", "completed"})


@click.group(epilog=EXIT_CODES)
def orders() -> None:
    """Place orders, find them, and decide about them, through the API of a gateway.

    \b
    fuze orders place --line TEAPOT-1 3 1999 --postal-code 10001 --payment-method pm_card_visa
    fuze orders list --waiting-for approval
    fuze orders approve ORDER_ID
    fuze orders watch ORDER_ID

    Without a profile (fuze login) it is the gateway of `fuze up` on this machine. With --json the
    output is for programs; approve everything that waits:

    \b
    fuze orders list --waiting-for approval --all --json | jq -r .order_id | xargs fuze orders approve
    """  # noqa: D301, E501 - click needs the backspace itself; a command stays on its line


for command in (place, *DECISIONS):
    orders.add_command(command)


@orders.command("list", epilog=EXIT_CODES)
@api_options
@click.option("--status", type=click.Choice(_STATUSES), multiple=True, metavar="STATUS",
              help="Only orders with this status; can be repeated.")  # fmt: skip
@click.option("--waiting-for", type=click.Choice(["approval", "payment_method", "address"]),
              help="Only orders that wait for this.")  # fmt: skip
@click.option("--needs-attention", is_flag=True, default=None, help="Only orders with a failure.")
@click.option("--customer", help="Only orders of this customer.")
@click.option("--reference", help="Only orders with your number.")
@click.option("--search", "q", help="Only orders whose customer or id starts so.")
@click.option("--created-from", type=click.DateTime(), help="In this machine's time zone.")
@click.option("--created-before", type=click.DateTime(), help="In this machine's time zone.")
@click.option("--sort", type=click.Choice(_ORDERS), default="-created_at",
              show_default=True, help="`-` is newest first.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True,
              help="Number of orders, at most.")  # fmt: skip
@click.option("--all", "is_all", is_flag=True, help="List all of them, however many.")
def list_orders(
    profile: str | None,
    limit: int,
    *,
    as_json: bool,
    is_all: bool,
    **filters: Any,  # noqa: ANN401 - those of the API
) -> None:
    """List orders, newest first."""
    for name in ("created_from", "created_before"):
        if isinstance(filters[name], datetime):
            filters[name] = filters[name].astimezone()
    with connect(profile) as fuze:
        found = fuze.orders.list(page_size=200 if is_all else min(limit, 200), **filters)
        shown = found if is_all else itertools.islice(found, limit)
        if as_json:
            print_json(shown)
            return
        columns = ("order id", "created", "status", "payment", "total", "customer", "reference")
        rows = [
            (
                str(one.order_id),
                one.created_at,
                f"{one.status} (!)" if one.needs_attention else one.status,
                one.payment_status,
                format_amount(one.total_minor, one.currency),
                one.customer,
                one.reference,
            )
            for one in shown
        ]
    print_table(columns, rows)
    if len(rows) == limit and not is_all:
        click.echo(f"The first {limit} orders; show more with --limit or --all.", err=True)


@orders.command(epilog=EXIT_CODES)
@api_options
@order_argument
def show(profile: str | None, order_id: UUID, *, as_json: bool) -> None:
    """Show an order: amounts, address, what it waits for, and its timeline.

    With --json it is one object with `order`, `status` and `events`.
    """
    with connect(profile) as fuze:
        order = fuze.orders.get(order_id)
        status = fuze.orders.get_status(order_id)
        events = fuze.events.list(order_id)
    print_order(order, status, events, as_json=as_json)


@orders.command(epilog=EXIT_CODES)
@api_options
@order_argument
@click.option("--until", type=click.Choice(_STATUSES), multiple=True, metavar="STATUS",
              help="Stop when the order has this status; can be repeated.")  # fmt: skip
@click.option("--after", type=click.IntRange(min=0), default=0,
              help="Leave out the events up to this number.")  # fmt: skip
@click.pass_context
def watch(
    context: click.Context,
    profile: str | None,
    order_id: UUID,
    until: Sequence[str],
    after: int,
    *,
    as_json: bool,
) -> None:
    """Print the events of an order as they happen, until it has ended.

    A connection that breaks is resumed after the last event. In a script:

    \b
    fuze orders watch ORDER_ID --until awaiting_approval && fuze orders approve ORDER_ID
    """  # noqa: D301 - click needs the backspace itself
    status = None
    with connect(profile) as fuze:
        for event in fuze.events.stream(order_id, after=after):
            status = event.status
            print_event(event, as_json=as_json)
            if status in until:
                return
        status = status or fuze.orders.get(order_id).status
    if until or status not in _FULFILLED:
        context.exit(ExitCode.ENDED_OTHERWISE)
