"""`fuze payments` and `fuze returns`."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import click

from fuze_client.cli.connection import EXIT_CODES, connect
from fuze_client.cli.options import (
    actor_option,
    advise_to_repeat,
    api_options,
    key_option,
    lines_option,
    order_argument,
    reason_option,
    shipping_option,
)
from fuze_client.cli.output import format_amount, print_json, print_line, print_table
from fuze_client.models import Return
from fuze_client.requests import LineQuantity

_return_argument = click.argument("return_id", type=click.UUID)


@click.group(epilog=EXIT_CODES)
def payments() -> None:
    """Read the charges and refunds of an order, and what differs between systems.

    To refund an order: fuze orders refund.
    """


@payments.command("list", epilog=EXIT_CODES)
@api_options
@order_argument
def list_payments(profile: str | None, order_id: UUID, *, as_json: bool) -> None:
    """List the charges and refunds of an order."""
    with connect(profile) as fuze:
        found = fuze.payments.list(order_id)
    if as_json:
        print_json(found)
        return
    charges = [
        (
            "charge",
            one.created_at,
            one.state,
            format_amount(one.amount_minor, one.currency),
            one.payment_method,
            one.provider_reference,
            one.decline_code,
        )
        for one in found.payments
    ]
    refunds = [
        (
            "refund",
            one.created_at,
            one.state,
            format_amount(one.amount_minor, one.currency),
            one.actor,
            one.provider_reference,
            one.rejection_code or one.reason,
        )
        for one in found.refunds
    ]
    columns = ("", "created", "state", "amount", "method or actor", "at the provider", "reason")
    print_table(columns, [*charges, *refunds])


@payments.command(epilog=EXIT_CODES)
@api_options
@order_argument
def ledger(profile: str | None, order_id: UUID, *, as_json: bool) -> None:
    """List the ledger of an order: `provider` is what the provider owes, `sales` what was sold."""
    with connect(profile) as fuze:
        found = fuze.payments.list_ledger(order_id)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.recorded_at,
            "capture" if one.journal_id == one.payment_id else "refund",
            one.account,
            format_amount(one.debit_minor or None, one.currency),
            format_amount(one.credit_minor or None, one.currency),
        )
        for one in found
    ]
    print_table(("recorded", "", "account", "debit", "credit"), rows)


@payments.command(epilog=EXIT_CODES)
@api_options
def discrepancies(profile: str | None, *, as_json: bool) -> None:
    """List the differences between the systems of record, such as a charge without an order."""
    with connect(profile) as fuze:
        found = fuze.payments.list_discrepancies()
    if as_json:
        print_json(found)
        return
    print_table(
        ("kind", "reference", "order id", "first seen", "last seen"),
        [
            (
                one.kind,
                one.reference,
                str(one.order_id or ""),
                one.first_seen_at,
                one.last_seen_at,
            )
            for one in found
        ],
    )


@click.group(epilog=EXIT_CODES)
def returns() -> None:
    """Request returns of shipped orders, decide about them, and receive the goods.

    \b
    fuze returns request ORDER_ID --line 1 2 --reason "does not fit"
    fuze returns approve ORDER_ID RETURN_ID
    fuze returns receive ORDER_ID RETURN_ID      the goods are there; they are refunded
    """  # noqa: D301 - click needs the backspace itself


@returns.command("list", epilog=EXIT_CODES)
@api_options
@order_argument
def list_returns(profile: str | None, order_id: UUID, *, as_json: bool) -> None:
    """List the returns of an order."""
    with connect(profile) as fuze:
        _print_returns(fuze.returns.list(order_id), as_json=as_json)


@returns.command(epilog=EXIT_CODES)
@api_options
@order_argument
@_return_argument
def show(profile: str | None, order_id: UUID, return_id: UUID, *, as_json: bool) -> None:
    """Show a return."""
    with connect(profile) as fuze:
        _print_returns([fuze.returns.get(order_id, return_id)], as_json=as_json)


def _print_returns(found: Sequence[Return], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(one.return_id),
            one.created_at,
            one.status,
            ", ".join(f"{line.quantity} of line {line.line_id}" for line in one.lines),
            format_amount(one.amount_minor, one.currency),
            one.actor,
            one.refund_code or one.reason,
        )
        for one in found
    ]
    print_table(("return id", "created", "status", "lines", "refund", "actor", "reason"), rows)


@returns.command(epilog=EXIT_CODES)
@api_options
@order_argument
@lines_option
@shipping_option
@reason_option
@actor_option
@key_option
def request(
    profile: str | None,
    order_id: UUID,
    lines: Sequence[tuple[str, int]],
    reason: str | None,
    actor: str | None,
    key: str | None,
    *,
    as_json: bool,
    include_shipping: bool,
) -> None:
    """Request the return of units of an order's lines (fuze orders show lists them)."""
    if not lines:
        raise click.UsageError("say what comes back, such as --line 1 2 for two units of line 1")
    key = key or str(uuid4())
    with connect(profile, advice=advise_to_repeat(key)) as fuze:
        requested = fuze.returns.request(
            order_id,
            [LineQuantity(line_id=line, quantity=units) for line, units in lines],
            include_shipping=include_shipping,
            reason=reason,
            actor=actor,
            idempotency_key=key,
        )
    if as_json:
        print_json(requested)
    else:
        print_line(f"requested {requested.return_id}")


def _add_command(name: str, text: str) -> None:
    @returns.command(name, help=text, epilog=EXIT_CODES)
    @api_options
    @order_argument
    @_return_argument
    @reason_option
    @actor_option
    def change(
        profile: str | None,
        order_id: UUID,
        return_id: UUID,
        reason: str | None,
        actor: str | None,
        *,
        as_json: bool,
    ) -> None:
        with connect(profile) as fuze:
            send = getattr(fuze.returns, name)
            changed = send(order_id, return_id, reason=reason, actor=actor)
        if as_json:
            print_json(changed)
        else:
            print_line(f"{return_id}  {changed.status}")


_add_command("approve", "Approve a return that was requested.")
_add_command("reject", "Reject a return that was requested.")
_add_command("cancel", "Cancel a return that was not received.")
_add_command("receive", "Record that the goods of an approved return are there; refund them.")
