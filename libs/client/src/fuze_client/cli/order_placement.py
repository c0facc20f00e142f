"""`fuze orders place`."""

import json
from collections.abc import Sequence
from typing import IO, Any
from uuid import UUID, uuid4

import click
from pydantic import ValidationError

from fuze_client.cli.connection import EXIT_CODES, connect
from fuze_client.cli.options import advise_to_repeat, api_options, key_option
from fuze_client.cli.output import print_json, print_line
from fuze_client.requests import PlaceOrderRequest

_ADDRESS = ("country", "name", "company", "line1", "line2", "city", "region", "postal_code")


def _address_options(function: Any) -> Any:  # noqa: ANN401 - click's decorators
    for name in reversed(_ADDRESS):
        option = f"--{name.replace('_', '-')}"
        function = click.option(option, help=f"Delivery address: {name.replace('_', ' ')}.")(
            function
        )
    return function


@click.command(epilog=EXIT_CODES)
@api_options
@click.option("--file", "-f", "file", type=click.File("rb"),
              help="A JSON document of POST /orders, `-` for the standard input.")  # fmt: skip
@click.option("--line", "lines", type=(str, int, int), multiple=True,
              metavar="SKU QUANTITY UNIT_PRICE_MINOR",
              help="A line; can be repeated. A price of 1999 is 19.99 USD.")  # fmt: skip
@click.option("--currency", help="ISO 4217.  [default: USD]")
@click.option("--payment-method", help="Such as pm_card_visa, of the sandbox.")
@click.option("--customer", help="Your id of the customer.")
@click.option("--reference", help="Your number of the order.")
@_address_options
@click.option("--order-id", type=click.UUID, help="An id of your own, in place of a key.")
@key_option
def place(
    profile: str | None,
    file: IO[bytes] | None,
    lines: Sequence[tuple[str, int, int]],
    order_id: UUID | None,
    key: str | None,
    *,
    as_json: bool,
    **fields: str | None,
) -> None:
    """Place an order, from options, a file, or both: options replace fields of the file.

    \b
    fuze orders place --line TEAPOT-1 3 1999 --postal-code 10001 --payment-method pm_card_visa
    fuze orders place --file order.json --reference WEB-2026-0042

    The same --idempotency-key, or --order-id, is the same order, however often it is sent.
    """  # noqa: D301 - click needs the backspace itself
    if key and order_id:
        raise click.UsageError("an order has an --idempotency-key or an --order-id, not both")
    order = _build(file, lines, fields)
    key = key or str(uuid4())
    advice = "Repeat the command." if order_id else advise_to_repeat(key)
    with connect(profile, advice=advice) as fuze:
        accepted = (
            fuze.orders.start(order_id, order)
            if order_id
            else fuze.orders.place(order, idempotency_key=key)
        )
    if as_json:
        print_json(accepted)
    else:
        print_line(f"placed {accepted.order_id}; follow it: fuze orders watch {accepted.order_id}")


def _build(
    file: IO[bytes] | None, lines: Sequence[tuple[str, int, int]], fields: dict[str, str | None]
) -> PlaceOrderRequest:
    try:
        body = json.load(file) if file else {}
        if not isinstance(body, dict):
            raise click.BadParameter("it is no JSON object", param_hint="--file")
        given = {name: value for name, value in fields.items() if value is not None}
        address = {name: given.pop(name) for name in _ADDRESS if name in given}
        if address:
            body["address"] = (body.get("address") or {}) | address
        if lines:
            body["lines"] = [
                {"sku": sku, "quantity": quantity, "unit_price_minor": price}
                for sku, quantity, price in lines
            ]
        return PlaceOrderRequest.model_validate(body | given)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise click.BadParameter("; ".join(found), param_hint="--file") from None
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}", param_hint="--file") from None
