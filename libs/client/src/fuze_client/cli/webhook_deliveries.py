"""`fuze webhooks deliveries|redeliver|test`."""

import itertools
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

import click

from fuze_client.cli.connection import EXIT_CODES, connect
from fuze_client.cli.options import api_options, complete_order, endpoint_argument
from fuze_client.cli.output import print_json, print_line, print_table
from fuze_client.enumerations import EventType, WebhookDeliveryState
from fuze_client.webhook_models import WebhookDelivery

_STATES = get_args(WebhookDeliveryState)
_TIMES = ("created_from", "created_before")


@click.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
@click.option("--state", type=click.Choice(_STATES), help="Only deliveries in this state.")
@click.option("--event-type", type=click.Choice(get_args(EventType)), metavar="TYPE",
              help="Only deliveries of this type of event.")  # fmt: skip
@click.option("--order", "order_id", type=click.UUID, shell_complete=complete_order,
              help="Only deliveries of this order's events.")  # fmt: skip
@click.option("--created-from", type=click.DateTime(), help="In this machine's time zone.")
@click.option("--created-before", type=click.DateTime(), help="In this machine's time zone.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True,
              help="Number of deliveries, at most.")  # fmt: skip
@click.option("--all", "is_all", is_flag=True, help="List all of them, however many.")
def deliveries(
    profile: str | None,
    endpoint_id: UUID,
    limit: int,
    *,
    as_json: bool,
    is_all: bool,
    **filters: Any,  # noqa: ANN401 - those of the API
) -> None:
    """List what was sent to an endpoint, newest first, and why it was not accepted."""
    for name in _TIMES:
        if isinstance(filters[name], datetime):
            filters[name] = filters[name].astimezone()
    with connect(profile) as fuze:
        size = 200 if is_all else min(limit, 200)
        found = fuze.webhooks.list_deliveries(endpoint_id, page_size=size, **filters)
        shown = found if is_all else itertools.islice(found, limit)
        if as_json:
            print_json(shown)
            return
        rows = [
            (
                one.message_id,
                one.created_at,
                one.event_type,
                one.state,
                one.attempts,
                one.next_attempt_at,
                _explain(one),
            )
            for one in shown
        ]
    columns = ("message id", "created", "event type", "state", "attempts", "next attempt", "why")
    print_table(columns, rows)
    if len(rows) == limit and not is_all:
        click.echo(f"The first {limit} deliveries; show more with --limit or --all.", err=True)


@click.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
@click.argument("message_id", required=False)
@click.option("--failed-since", type=click.DateTime(),
              help="Those that have failed since, in this machine's time zone.")  # fmt: skip
def redeliver(
    profile: str | None,
    endpoint_id: UUID,
    message_id: str | None,
    failed_since: datetime | None,
    *,
    as_json: bool,
) -> None:
    """Deliver a message again, or all that have failed since a time.

    \b
    fuze webhooks redeliver ENDPOINT_ID MESSAGE_ID
    fuze webhooks redeliver ENDPOINT_ID --failed-since "2026-01-05 08:00:00"
    """  # noqa: D301 - click needs the backspace itself
    if (message_id is None) == (failed_since is None):
        raise click.UsageError("name a message, or say --failed-since")
    since = failed_since.astimezone() if failed_since else None
    with connect(profile) as fuze:
        done = fuze.webhooks.redeliver(endpoint_id, message_id=message_id, failed_since=since)
    if as_json:
        print_json(done)
    else:
        unit = "message is" if done.deliveries == 1 else "messages are"
        print_line(f"{done.deliveries} {unit} delivered again")


@click.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
def test(profile: str | None, endpoint_id: UUID, *, as_json: bool) -> None:
    """Send a signed message of the type webhook.test to an endpoint."""
    with connect(profile) as fuze:
        sent = fuze.webhooks.send_test(endpoint_id)
    if as_json:
        print_json(sent)
        return
    print_line(f"sent {sent.message_id}; see it: fuze webhooks deliveries {endpoint_id}")


DELIVERY_COMMANDS = (deliveries, redeliver, test)


def _explain(delivery: WebhookDelivery) -> str | None:
    """Return why a message is not delivered."""
    if delivery.delivered_at:
        return None
    if delivery.is_blocked:
        return "waits for an earlier message of its order"
    return delivery.error
