"""The load: orders at a fixed concurrency, and orders at a fixed arrival rate."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Order = dict[str, Any]

ORDER_TIMEOUT_SECONDS = 120.0


class OrderClient(Protocol):
    """Sends orders to one side, and waits for them.

    `repeated_requests` counts those that were answered with 503.
    """

    repeated_requests: int

    async def start(self, order: Order) -> None:
        """Place the order."""
        ...

    async def approve(self, order_id: str) -> None:
        """Approve the order."""
        ...

    async def wait_until_shipped(self, order_id: str) -> None:
        """Return when the order is shipped."""
        ...

    async def shipped_at(self, order_ids: Sequence[str]) -> dict[str, float]:
        """Return when each order was committed as shipped, in seconds since the epoch."""
        ...


class LoadError(Exception):
    """An order was not shipped."""


@dataclass(frozen=True)
class Load:
    """What was sent: the ids with the moments at which their clients meant to start them."""

    due_at: dict[str, float]
    seconds: float

    def latencies(self, shipped_at: dict[str, float]) -> list[float]:
        """Return the seconds from the moment each order was due until it was shipped."""
        return [shipped_at[order_id] - due for order_id, due in self.due_at.items()]


OnShipped = Callable[[], None]


async def run_closed_loop(
    client: OrderClient, orders: int, concurrency: int, on_shipped: OnShipped
) -> Load:
    """Ship `orders` orders; each of `concurrency` callers starts one when its last is shipped."""
    numbers = iter(range(orders))
    due_at: dict[str, float] = {}

    async def call() -> None:
        for number in numbers:
            order = build_order(number)
            due_at[order["order_id"]] = time.time()
            await _ship(client, order, on_shipped)

    started_at = time.perf_counter()
    await _gather([call() for _ in range(min(concurrency, orders))])
    return Load(due_at, time.perf_counter() - started_at)


async def run_open_loop(
    client: OrderClient, rate: float, seconds: float, on_shipped: OnShipped
) -> Load:
    """Start an order every `1 / rate` seconds, however long the earlier ones take.

    An order that the generator starts late counts from the moment at which it was due: a stall
    lengthens the latency of every order that it delays (no coordinated omission).
    """
    due_at: dict[str, float] = {}
    started_at, clock = time.perf_counter(), time.time() - time.perf_counter()

    async def call(number: int) -> None:
        due = started_at + number / rate
        order = build_order(number)
        due_at[order["order_id"]] = clock + due
        await asyncio.sleep(due - time.perf_counter())
        await _ship(client, order, on_shipped)

    await _gather([call(number) for number in range(max(1, round(rate * seconds)))])
    return Load(due_at, time.perf_counter() - started_at)


async def _ship(client: OrderClient, order: Order, on_shipped: OnShipped) -> None:
    order_id = order["order_id"]
    try:
        async with asyncio.timeout(ORDER_TIMEOUT_SECONDS):
            await client.start(order)
            await client.approve(order_id)
            await client.wait_until_shipped(order_id)
    except TimeoutError:
        raise LoadError(
            f"order {order_id} was not shipped within {ORDER_TIMEOUT_SECONDS:.0f} s"
        ) from None
    on_shipped()


async def _gather(calls: Sequence[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


_CUSTOMERS = itertools.cycle(f"customer-{number}@example.com" for number in range(97))


def build_order(number: int) -> Order:
    """Return the body of an order with one line, which is paid by card and shipped."""
    return {
        "order_id": str(uuid.uuid4()),
        "customer": next(_CUSTOMERS),
        "lines": [
            {"sku": "TEAPOT-1", "quantity": 1 + number % 9, "unit_price_minor": 1001 + number}
        ],
        "currency": "USD",
        "payment_method": "pm_card_visa",
        "address": {
            "country": "US",
            "name": "Ada",
            "line1": f"{number % 200} Elm Street",
            "city": "New York",
            "region": "NY",
            "postal_code": f"10{number % 200:03}",
        },
    }
