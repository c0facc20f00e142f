"""Four orders, played through the gateway, their timelines shown as they happen."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from fuze_devstack.ports import Ports
from fuze_devstack.stack import Announce, Stack
from fuze_devstack.state import StackFile

_PLAYED_WITHIN_SECONDS = 60.0
_POLL_SECONDS = 0.2
_SHOWN_DETAILS = ("amount", "provider_reference", "tracking_number", "reason")
_ENDED = frozenset({"shipped", "rejected", "expired", "payment_declined", "cancelled"})

_TEAPOTS = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "address": {"name": "Ada Lovelace", "line1": "12 Elm Street", "zip_code": "10001"},
}


@dataclass
class DemoOrder:
    """One order of the demo: what is sent, and how it should end."""

    title: str
    order_id: str
    body: dict[str, Any]
    ends: str
    signal: tuple[str, dict[str, Any] | None] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Where the order stands, as far as it was seen."""
        return str(self.events[-1]["status"]) if self.events else "sent"

    @property
    def is_over(self) -> bool:
        """Whether the order has ended, well or not."""
        return self.status in _ENDED


def _plays() -> list[DemoOrder]:
    return [
        DemoOrder(
            "The order of the README: no lines, nothing to pay",
            order_id="123e4567-e89b-12d3-a456-426614174000",
            body={
                "order_id": "123e4567-e89b-12d3-a456-426614174000",
                "address": {"zip_code": "10001"},
            },
            signal=("approve", None),
            ends="shipped",
        ),
        DemoOrder(
            "Three teapots, paid by card",
            order_id="11111111-1111-4111-8111-111111111111",
            body=_TEAPOTS,
            signal=("approve", {"actor": "grace@example.com"}),
            ends="shipped",
        ),
        DemoOrder(
            "An address that is none: fails validation",
            order_id="22222222-2222-4222-8222-222222222222",
            body=_TEAPOTS | {"address": {"zip_code": "NOWHERE"}},
            ends="rejected",
        ),
        DemoOrder(
            "Cancelled while it waits for approval",
            order_id="33333333-3333-4333-8333-333333333333",
            body=_TEAPOTS,
            signal=("cancel", {"actor": "ada@example.com", "reason": "bought elsewhere"}),
            ends="cancelled",
        ),
    ]


async def run(folder: Path, console: Console, announce: Announce) -> bool:
    """DemoOrder over a stack of our own, on free ports; True if each order ended as it should."""
    stack = Stack(folder, Ports.free(), announce=announce)
    try:
        await stack.start()
        return await play(StackFile(folder).read()["gateway"]["url"], console)
    finally:
        await stack.stop()
        console.print("Stopped; nothing is left running.")


async def play(gateway: str, console: Console) -> bool:
    """Send the orders to the gateway at this URL; True if each ended as it should.

    On a terminal the tables grow in place. Elsewhere each event is a line as it happens, and the
    tables follow at the end.
    """
    plays = _plays()
    console.print()
    with Live(_tables(plays), console=console, auto_refresh=False, transient=True) as live:
        async with httpx.AsyncClient(base_url=gateway, timeout=15, trust_env=False) as client:

            def seen(one: DemoOrder, event: dict[str, Any]) -> None:
                one.events.append(event)
                if console.is_terminal:
                    live.update(_tables(plays), refresh=True)
                else:
                    console.print(f"  {one.order_id}  {event['seq']}  {event['type']}")

            await asyncio.gather(*(_follow(client, one, seen) for one in plays))
    console.print(_tables(plays))
    return all(one.status == one.ends for one in plays)


async def _follow(
    client: httpx.AsyncClient, one: DemoOrder, seen: Callable[[DemoOrder, dict[str, Any]], None]
) -> None:
    await _post(client, f"/orders/{one.order_id}/start", one.body)
    deadline = time.monotonic() + _PLAYED_WITHIN_SECONDS
    signalled = False
    while not one.is_over and time.monotonic() < deadline:
        answer = await client.get(f"/orders/{one.order_id}/events")
        recorded = answer.json()["events"] if answer.is_success else []
        for event in recorded[len(one.events) :]:
            seen(one, event)
        if one.signal and not signalled and one.status == "awaiting_approval":
            name, body = one.signal
            await _post(client, f"/orders/{one.order_id}/signals/{name}", body)
            signalled = True
        await asyncio.sleep(_POLL_SECONDS)


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any] | None) -> None:
    answer = await client.post(path, json=body) if body else await client.post(path)
    answer.raise_for_status()


def _tables(plays: list[DemoOrder]) -> Group:
    return Group(*(_table(one) for one in plays))


def _table(one: DemoOrder) -> Table:
    verdict = ""
    if one.is_over:
        as_it_should = one.status == one.ends
        verdict = " [green]as it should[/green]" if as_it_should else " [red]unexpected[/red]"
    table = Table(
        title=f"{one.title}\n[dim]{one.order_id}[/dim] → [bold]{one.status}[/bold]{verdict}",
        title_justify="left",
        title_style="",
        width=80,  # what fits everywhere
    )
    for heading in ("#", "time (UTC)", "event", "payment"):
        table.add_column(heading, no_wrap=True)
    table.add_column("who, and what", ratio=1)
    for event in one.events:
        table.add_row(
            str(event["seq"]),
            event["occurred_at"][11:23],
            event["type"],
            event["payment_status"],
            "\n".join((event["actor"], *_details(event["details"]))),
        )
    return table


def _details(details: dict[str, Any]) -> list[str]:
    shown = [f"[dim]{name}[/dim] {details[name]}" for name in _SHOWN_DETAILS if details.get(name)]
    return [*shown, *(violation["message"] for violation in details.get("violations", []))]
