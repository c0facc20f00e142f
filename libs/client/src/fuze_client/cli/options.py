"""Options and arguments that several commands have, and what completes them in a shell."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from fuze_client.cli.connection import create_client
from fuze_client.cli.profiles import Profiles
from fuze_client.errors import FuzeError

Function = TypeVar("Function", bound=Callable[..., Any])

_COMPLETED_ORDERS = 20


def complete_profile(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the profiles whose name starts so."""
    with suppress(click.ClickException):
        names = Profiles.load().profiles
        return [CompletionItem(name) for name in names if name.startswith(start)]
    return []


def complete_order(context: click.Context, _: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the newest orders whose id starts so, each with its status."""
    with suppress(click.ClickException, FuzeError):
        profile = context.params.get("profile") or os.environ.get("FUZE_PROFILE")
        with create_client(profile, 0) as fuze:
            page = fuze.orders.get_page(limit=_COMPLETED_ORDERS, q=start or None)
        return [
            CompletionItem(str(one.order_id), help=f"{one.status} {one.reference or ''}")
            for one in page.orders
            if str(one.order_id).startswith(start)
        ]
    return []


def complete_endpoint(
    context: click.Context, _: click.Parameter, start: str
) -> list[CompletionItem]:
    """Return the webhook endpoints whose id starts so, each with its URL."""
    with suppress(click.ClickException, FuzeError):
        profile = context.params.get("profile") or os.environ.get("FUZE_PROFILE")
        with create_client(profile, 0) as fuze:
            found = fuze.webhooks.list()
        return [
            CompletionItem(str(one.endpoint_id), help=one.url)
            for one in found
            if str(one.endpoint_id).startswith(start)
        ]
    return []


def api_options(function: Function) -> Function:
    """Add the options that every command has."""
    profile = click.option(
        "--profile",
        envvar="FUZE_PROFILE",
        shell_complete=complete_profile,
        help="The gateway to use, by the name of its profile.  [default: that of the last login]",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, one object per line."
    )
    return profile(as_json(function))


order_argument = click.argument("order_id", type=click.UUID, shell_complete=complete_order)
orders_argument = click.argument(
    "order_ids", metavar="ORDER_ID...", type=click.UUID, nargs=-1, required=True,
    shell_complete=complete_order,
)  # fmt: skip
endpoint_argument = click.argument("endpoint_id", type=click.UUID, shell_complete=complete_endpoint)
actor_option = click.option("--actor", help="The person for whom you act; recorded in the events.")
reason_option = click.option("--reason", help="Recorded in the events.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
lines_option = click.option(
    "--line", "lines", type=(str, int), multiple=True, metavar="LINE_ID QUANTITY",
    help="Units of a line; can be repeated.",
)  # fmt: skip
shipping_option = click.option(
    "--include-shipping", is_flag=True, help="Refund the cost of shipping, too."
)
key_option = click.option(
    "--idempotency-key", "key", help="Repeat a request under its key: it is executed once."
)


def advise_to_repeat(key: str) -> str:
    """Return what to do when it is unknown whether a request was executed."""
    return f"It may have been executed. Repeat it with: --idempotency-key {key}"
