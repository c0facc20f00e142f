"""`fuze webhooks`: the endpoints that events are sent to."""

from collections.abc import Sequence
from typing import Any, get_args
from uuid import UUID

import click

from fuze_client.cli.connection import EXIT_CODES, connect
from fuze_client.cli.options import api_options, endpoint_argument, yes_option
from fuze_client.cli.output import confirm, format_time, print_json, print_line, print_table
from fuze_client.cli.webhook_deliveries import DELIVERY_COMMANDS
from fuze_client.enumerations import EventType
from fuze_client.webhook_models import WebhookEndpoint

_TYPES = get_args(EventType)
_SENT_ONCE = "It may have been executed: look before you repeat it (fuze webhooks list)."

_types_option = click.option(
    "--event-type", "event_types", type=click.Choice(_TYPES), multiple=True, metavar="TYPE",
    help="Send only events of this type; can be repeated.",
)  # fmt: skip
_description_option = click.option("--description", help="For people.")


@click.group(epilog=EXIT_CODES)
def webhooks() -> None:
    """Send the events of orders to HTTP endpoints, and see what was delivered.

    \b
    fuze webhooks create https://shop.example/webhooks --event-type order_shipped
    fuze webhooks test ENDPOINT_ID
    fuze webhooks deliveries ENDPOINT_ID

    An endpoint that fails for days, or says that it is gone, is disabled. Once it works again:

    \b
    fuze webhooks list                              (!) needs attention
    fuze webhooks deliveries ENDPOINT_ID --state failed
    fuze webhooks update ENDPOINT_ID --enable       sends what it has not accepted, in order
    fuze webhooks redeliver ENDPOINT_ID --failed-since 2026-01-05
    """  # noqa: D301 - click needs the backspace itself


for command in DELIVERY_COMMANDS:
    webhooks.add_command(command)


@webhooks.command(epilog=EXIT_CODES)
@api_options
@click.argument("url")
@_types_option
@_description_option
@click.option("--disabled", is_flag=True, help="Send nothing until it is enabled.")
def create(
    profile: str | None,
    url: str,
    event_types: Sequence[str],
    description: str | None,
    *,
    as_json: bool,
    disabled: bool,
) -> None:
    """Create an endpoint; it is sent the events of all orders from now on.

    The secret verifies its messages. It is printed this once: store it now.
    """
    with connect(profile, advice=_SENT_ONCE) as fuze:
        created = fuze.webhooks.create(
            url, event_types=event_types, description=description or "", enabled=not disabled
        )
    if as_json:
        print_json(created)
        return
    print_line(f"created {created.endpoint_id}")
    print_line(f"secret  {created.secret}")
    click.echo("The secret is not shown again.", err=True)


@webhooks.command("list", epilog=EXIT_CODES)
@api_options
def list_endpoints(profile: str | None, *, as_json: bool) -> None:
    """List the endpoints, oldest first; `(!)` needs attention."""
    with connect(profile) as fuze:
        found = fuze.webhooks.list()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(one.endpoint_id),
            f"{_describe_state(one)} (!)" if one.needs_attention else _describe_state(one),
            one.url,
            ", ".join(one.event_types) or "all",
            one.failing_since,
            one.description,
        )
        for one in found
    ]
    columns = ("endpoint id", "state", "url", "event types", "failing since", "description")
    print_table(columns, rows)


@webhooks.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
def show(profile: str | None, endpoint_id: UUID, *, as_json: bool) -> None:
    """Show an endpoint, without its secret."""
    with connect(profile) as fuze:
        found = fuze.webhooks.get(endpoint_id)
    _print_endpoint(found, as_json=as_json)


@webhooks.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
@click.option("--url", help="Where its events are sent from now on.")
@_types_option
@click.option("--all-event-types", "has_all_types", is_flag=True, help="Send events of all types.")
@_description_option
@click.option("--enable/--disable", "enabled", default=None,
              help="While it is disabled, its events wait; then they are sent.")  # fmt: skip
def update(
    profile: str | None,
    endpoint_id: UUID,
    event_types: Sequence[str],
    *,
    as_json: bool,
    has_all_types: bool,
    **changes: Any,  # noqa: ANN401 - those of the API
) -> None:
    """Change an endpoint, or enable and disable it.

    \b
    fuze webhooks update ENDPOINT_ID --enable
    fuze webhooks update ENDPOINT_ID --event-type order_shipped --event-type order_cancelled
    """  # noqa: D301 - click needs the backspace itself
    if event_types and has_all_types:
        raise click.UsageError("give either --event-type or --all-event-types")
    if event_types or has_all_types:
        changes["event_types"] = event_types
    if all(value is None for value in changes.values()):
        raise click.UsageError("say what changes, such as --enable")
    with connect(profile) as fuze:
        changed = fuze.webhooks.change(endpoint_id, **changes)
    _print_endpoint(changed, as_json=as_json)


@webhooks.command(epilog=EXIT_CODES)
@api_options
@endpoint_argument
@yes_option
def delete(profile: str | None, endpoint_id: UUID, *, as_json: bool, yes: bool) -> None:
    """Delete an endpoint with its deliveries; what it was not sent is lost to it."""
    confirm(f"Delete the webhook endpoint {endpoint_id}?", yes=yes)
    with connect(profile) as fuze:
        fuze.webhooks.delete(endpoint_id)
    if not as_json:
        print_line(f"deleted {endpoint_id}")


@webhooks.command("rotate-secret", epilog=EXIT_CODES)
@api_options
@endpoint_argument
@click.option("--overlap-seconds", type=click.IntRange(0, 7 * 86_400),
              help="How long the other secret signs, too.  [default: 86400, a day]")  # fmt: skip
@yes_option
def rotate_secret(
    profile: str | None, endpoint_id: UUID, overlap_seconds: int | None, *, as_json: bool, yes: bool
) -> None:
    """Create another secret; the one until now signs beside it for a day.

    The new secret is printed this once. One that was replaced earlier expires at once.
    """
    confirm(f"Rotate the secret of the webhook endpoint {endpoint_id}?", yes=yes)
    with connect(profile, advice=_SENT_ONCE) as fuze:
        rotated = fuze.webhooks.rotate_secret(endpoint_id, overlap_seconds=overlap_seconds)
    if as_json:
        print_json(rotated)
        return
    print_line(f"secret  {rotated.secret}")
    expiry = format_time(rotated.previous_secret_expires_at)
    click.echo(f"It is not shown again. The one until now expires at {expiry}.", err=True)


def _describe_state(endpoint: WebhookEndpoint) -> str:
    if endpoint.enabled:
        return "failing" if endpoint.failing_since else "enabled"
    return f"disabled: {endpoint.disabled_reason}" if endpoint.disabled_reason else "disabled"


def _print_endpoint(endpoint: WebhookEndpoint, *, as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    since = endpoint.failing_since
    facts = (
        ("endpoint", str(endpoint.endpoint_id)),
        ("url", endpoint.url),
        ("state", _describe_state(endpoint)),
        ("needs attention", "yes" if endpoint.needs_attention else None),
        ("failing since", format_time(since) if since else None),
        ("event types", ", ".join(endpoint.event_types) or "all"),
        ("description", endpoint.description),
        ("created", format_time(endpoint.created_at)),
    )
    for label, text in facts:
        if text:
            print_line(f"{label:<16} {text}")
