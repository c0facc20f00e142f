"""Six demo orders through the gateway, with their timelines as they are recorded."""

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
from fuze_devstack.stack import ProgressCallback, Stack
from fuze_devstack.state import StackFile
from fuze_devstack.topology import StackOptions

_ORDER_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.2
_SHOWN_DETAILS = (
    *("subtotal_minor", "discount_minor", "shipping_minor", "total_minor"),
    *("amount", "provider_reference", "tracking_number", "reason"),
)
_CLOSED_STATUSES = frozenset(
    {"shipped", "completed", "rejected", "expired", "payment_declined", "cancelled"}
)

_TEAPOTS = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "address": {"name": "Ada Lovelace", "line1": "12 Elm Street", "postal_code": "10001"},
}
_DISCOUNTED = _TEAPOTS | {
    "reference": "WEB-2026-0042",
    "lines": [
        {
            "sku": "TEAPOT-1",
            "name": "Teapot, blue",
            "quantity": 2,
            "unit_price_minor": 1999,
            "discount_minor": 400,
        },
        {"sku": "TEAPOT-1", "name": "A free teapot", "quantity": 1, "unit_price_minor": 0},
    ],
    "adjustments": [
        {"kind": "discount", "label": "Spring sale", "amount_minor": 500},
        {"kind": "shipping", "label": "Standard shipping", "amount_minor": 499},
    ],
    "total_minor": 3597,
}
_DOWNLOAD = {
    "customer": "ada@example.com",
    "lines": [{"sku": "EBOOK", "quantity": 1, "unit_price_minor": 999, "requires_shipping": False}],
    "payment_method": "pm_card_visa",
}


@dataclass
class DemoOrder:
    """An order of the demo: its request, and the status in which it must close.

    With a `refund` part of it is refunded once it is shipped. With a `goods_return` lines of it
    come back first.
    """

    title: str
    order_id: str
    body: dict[str, Any]
    expected_status: str
    signal: tuple[str, dict[str, Any] | None] | None = None
    refund: dict[str, Any] | None = None
    goods_return: dict[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The status after the last event that was read."""
        return str(self.events[-1]["status"]) if self.events else "sent"

    @property
    def is_closed(self) -> bool:
        """Whether the order is closed, in whichever status, and refunded as requested."""
        awaited = {"payment_refunded"} if self.refund else set()
        awaited |= {"payment_refunded", "return_refunded"} if self.goods_return else set()
        return self.status in _CLOSED_STATUSES and awaited <= {one["type"] for one in self.events}


def _demo_orders() -> list[DemoOrder]:
    return [
        DemoOrder(
            "The order of the README: no lines, nothing to pay",
            order_id="123e4567-e89b-12d3-a456-426614174000",
            body={
                "order_id": "123e4567-e89b-12d3-a456-426614174000",
                "address": {"zip_code": "10001"},
            },
            signal=("approve", None),
            expected_status="shipped",
        ),
        DemoOrder(
            "Three teapots, paid by card; one of them is refunded",
            order_id="11111111-1111-4111-8111-111111111111",
            body=_TEAPOTS,
            signal=("approve", {"actor": "grace@example.com"}),
            refund={"lines": [{"line_id": "1", "quantity": 1}], "reason": "one was broken"},
            expected_status="shipped",
        ),
        DemoOrder(
            "Three for two, with a discount and shipping: 35.97; one is returned",
            order_id="44444444-4444-4444-8444-444444444444",
            body=_DISCOUNTED,
            signal=("approve", {"actor": "grace@example.com"}),
            goods_return={
                "lines": [{"line_id": "1", "quantity": 1}],
                "reason": "one is too many",
                "actor": "ada@example.com",
            },
            expected_status="shipped",
        ),
        DemoOrder(
            "An e-book: nothing to ship",
            order_id="55555555-5555-4555-8555-555555555555",
            body=_DOWNLOAD,
            signal=("approve", {"actor": "grace@example.com"}),
            expected_status="completed",
        ),
        DemoOrder(
            "To a country that the shop does not ship to: fails validation",
            order_id="22222222-2222-4222-8222-222222222222",
            body=_TEAPOTS | {"address": {"country": "FR", "postal_code": "75001"}},
            expected_status="rejected",
        ),
        DemoOrder(
            "Cancelled while it awaits approval",
            order_id="33333333-3333-4333-8333-333333333333",
            body=_TEAPOTS,
            signal=("cancel", {"actor": "ada@example.com", "reason": "bought elsewhere"}),
            expected_status="cancelled",
        ),
    ]


async def run(folder: Path, console: Console, on_progress: ProgressCallback) -> bool:
    """Run the demo on a stack of its own; return whether each order closed as expected."""
    options = StackOptions(settings={"FUZE_SHIPS_TO": "US,CA"})
    stack = Stack(folder, Ports.free(), on_progress=on_progress, options=options)
    try:
        await stack.start()
        return await run_orders(StackFile(folder).read()["gateway"]["url"], console)
    finally:
        await stack.stop()
        console.print("Stopped; no process is left.")
        console.print(
            "Look at orders in a browser: make up, then open the console at"
            f" http://127.0.0.1:{Ports().console}"
        )


async def run_orders(gateway: str, console: Console) -> bool:
    """Send the orders to the gateway at this URL; return whether each closed as expected.

    On a terminal the tables are updated in place. Otherwise each event is printed as a line, and
    the tables at the end.
    """
    orders = _demo_orders()
    console.print()
    with Live(_tables(orders), console=console, auto_refresh=False, transient=True) as live:
        async with httpx.AsyncClient(base_url=gateway, timeout=15, trust_env=False) as client:

            def on_event(order: DemoOrder, event: dict[str, Any]) -> None:
                order.events.append(event)
                if console.is_terminal:
                    live.update(_tables(orders), refresh=True)
                else:
                    console.print(f"  {order.order_id}  {event['seq']}  {event['type']}")

            await asyncio.gather(*(_run_order(client, order, on_event) for order in orders))
    console.print(_tables(orders))
    return all(order.status == order.expected_status for order in orders)


async def _run_order(
    client: httpx.AsyncClient,
    order: DemoOrder,
    on_event: Callable[[DemoOrder, dict[str, Any]], None],
) -> None:
    await _post(client, f"/orders/{order.order_id}/start", order.body)
    deadline = time.monotonic() + _ORDER_TIMEOUT_SECONDS
    is_signal_sent = is_shipped = False
    while not order.is_closed and time.monotonic() < deadline:
        response = await client.get(f"/orders/{order.order_id}/events")
        recorded = response.json()["events"] if response.is_success else []
        for event in recorded[len(order.events) :]:
            on_event(order, event)
        if order.signal and not is_signal_sent and order.status == "awaiting_approval":
            name, body = order.signal
            await _post(client, f"/orders/{order.order_id}/signals/{name}", body)
            is_signal_sent = True
        if not is_shipped and order.status == order.expected_status:
            is_shipped = True
            await _refund(client, order)
        await asyncio.sleep(_POLL_SECONDS)


async def _refund(client: httpx.AsyncClient, order: DemoOrder) -> None:
    """Refund a part of the order, or take lines of it back, as the demo has it."""
    if order.refund:
        await _post(client, f"/orders/{order.order_id}/refunds", order.refund)
    if order.goods_return:
        url = f"/orders/{order.order_id}/returns"
        requested = await _post(client, url, order.goods_return)
        for action in ("approve", "receive"):
            await _post(
                client, f"{requested['return_url']}/{action}", {"actor": "grace@example.com"}
            )


async def _post(
    client: httpx.AsyncClient, path: str, body: dict[str, Any] | None
) -> dict[str, Any]:
    headers = {"Idempotency-Key": "demo"}  # refunds and returns need one
    response = await client.post(path, json=body, headers=headers)
    content: dict[str, Any] = response.raise_for_status().json()
    return content


def _tables(orders: list[DemoOrder]) -> Group:
    return Group(*(_table(order) for order in orders))


def _table(order: DemoOrder) -> Table:
    verdict = ""
    if order.is_closed:
        is_expected = order.status == order.expected_status
        verdict = " [green]as expected[/green]" if is_expected else " [red]unexpected[/red]"
    table = Table(
        title=f"{order.title}\n[dim]{order.order_id}[/dim] → [bold]{order.status}[/bold]{verdict}",
        title_justify="left",
        title_style="",
        width=80,  # fits every terminal
    )
    for heading in ("#", "time (UTC)", "event", "payment"):
        table.add_column(heading, no_wrap=True)
    table.add_column("actor and details", ratio=1)
    for event in order.events:
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
