"""`fuze orders approve|reject|cancel|retry|refund`."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import click

from fuze_client._sync.client import FuzeClient
from fuze_client.cli.connection import EXIT_CODES, connect, describe, get_exit_code
from fuze_client.cli.options import (
    actor_option,
    advise_to_repeat,
    api_options,
    key_option,
    lines_option,
    order_argument,
    orders_argument,
    reason_option,
    shipping_option,
    yes_option,
)
from fuze_client.cli.output import confirm, format_amount, print_json, print_line
from fuze_client.errors import ProblemError
from fuze_client.models import CommandResponse
from fuze_client.requests import LineQuantity


@click.command(epilog=EXIT_CODES)
@api_options
@orders_argument
@actor_option
def approve(
    profile: str | None, order_ids: Sequence[UUID], actor: str | None, *, as_json: bool
) -> None:
    """Approve orders that wait for approval; they are charged and shipped."""
    _decide(profile, order_ids, lambda fuze, one: fuze.orders.approve(one, actor=actor), as_json)


@click.command(epilog=EXIT_CODES)
@api_options
@orders_argument
@reason_option
@actor_option
@yes_option
def reject(
    profile: str | None,
    order_ids: Sequence[UUID],
    reason: str | None,
    actor: str | None,
    *,
    as_json: bool,
    yes: bool,
) -> None:
    """Reject orders that wait for approval; that is final."""
    confirm(f"Reject {_count(order_ids)}?", yes=yes)
    _decide(
        profile,
        order_ids,
        lambda fuze, one: fuze.orders.reject(one, reason=reason, actor=actor),
        as_json,
    )


@click.command(epilog=EXIT_CODES)
@api_options
@orders_argument
@reason_option
@actor_option
@yes_option
def cancel(
    profile: str | None,
    order_ids: Sequence[UUID],
    reason: str | None,
    actor: str | None,
    *,
    as_json: bool,
    yes: bool,
) -> None:
    """Cancel orders that are not dispatched; what was charged is voided or refunded.

    An order that is dispatched is refunded instead: fuze orders refund.
    """
    confirm(f"Cancel {_count(order_ids)}?", yes=yes)
    _decide(
        profile,
        order_ids,
        lambda fuze, one: fuze.orders.cancel(one, reason=reason, actor=actor),
        as_json,
    )


@click.command(epilog=EXIT_CODES)
@api_options
@orders_argument
@actor_option
def retry(
    profile: str | None, order_ids: Sequence[UUID], actor: str | None, *, as_json: bool
) -> None:
    """Retry the failing step of orders that need attention.

    \b
    fuze orders list --needs-attention
    """  # noqa: D301 - click needs the backspace itself
    _decide(profile, order_ids, lambda fuze, one: fuze.orders.retry(one, actor=actor), as_json)


@click.command(epilog=EXIT_CODES)
@api_options
@order_argument
@click.option("--amount-minor", type=click.IntRange(min=1),
              help="An amount in minor units: 1999 is 19.99 USD.")  # fmt: skip
@lines_option
@shipping_option
@click.option("--all", "is_all", is_flag=True, help="Everything that is not refunded yet.")
@reason_option
@actor_option
@key_option
@yes_option
def refund(
    profile: str | None,
    order_id: UUID,
    amount_minor: int | None,
    lines: Sequence[tuple[str, int]],
    reason: str | None,
    actor: str | None,
    key: str | None,
    *,
    as_json: bool,
    include_shipping: bool,
    is_all: bool,
    yes: bool,
) -> None:
    """Refund an order that was shipped or completed: an amount, units of lines, or everything.

    \b
    fuze orders refund ORDER_ID --amount-minor 1999 --reason "arrived late"
    fuze orders refund ORDER_ID --line 1 2 --include-shipping
    fuze orders refund ORDER_ID --all

    The amount is reserved before the command returns, and refunded then, however long the payment
    provider is unavailable.
    """  # noqa: D301 - click needs the backspace itself
    has_lines = bool(lines) or include_shipping
    if [amount_minor is not None, has_lines, is_all].count(True) != 1:
        raise click.UsageError("say what to refund: --amount-minor, --line, or --all")
    confirm(f"Refund order {order_id}?", yes=yes)
    key = key or str(uuid4())
    with connect(profile, advice=advise_to_repeat(key)) as fuze:
        accepted = fuze.payments.refund(
            order_id,
            amount_minor=amount_minor,
            lines=[LineQuantity(line_id=line, quantity=units) for line, units in lines]
            if has_lines
            else None,
            include_shipping=include_shipping,
            reason=reason,
            actor=actor,
            idempotency_key=key,
        )
    if as_json:
        print_json(accepted)
        return
    amount = format_amount(accepted.amount_minor, accepted.currency)
    print_line(f"{amount} will be refunded; see it: fuze payments list {order_id}")


DECISIONS = (approve, reject, cancel, retry, refund)


def _count(order_ids: Sequence[UUID]) -> str:
    return f"order {order_ids[0]}" if len(order_ids) == 1 else f"{len(order_ids)} orders"


def _decide(
    profile: str | None,
    order_ids: Sequence[UUID],
    send: Callable[[FuzeClient, UUID], CommandResponse],
    as_json: bool,  # noqa: FBT001 - passed on
) -> None:
    """Send a command to each order. One that an order rejects does not stop the others.

    The exit code is that of the first order that rejected it.
    """
    failures = []
    with connect(profile) as fuze:
        for order_id in order_ids:
            try:
                order = send(fuze, order_id)
            except ProblemError as error:
                if error.is_transient:
                    raise
                failures.append(error)
                click.echo(f"{order_id}  {describe(error)}", err=True)
                continue
            if as_json:
                print_json(order)
            else:
                print_line(f"{order_id}  {order.status}, payment: {order.payment_status}")
    if failures:
        raise SystemExit(get_exit_code(failures[0]))
