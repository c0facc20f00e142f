"""The load generator, against a side in memory."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from fuze_bench import load
from fuze_bench.load import LoadError, Order, build_order, run_closed_loop, run_open_loop


class FakeSide:
    """Ships each order after `delay` seconds; `stalls` orders need a second more."""

    repeated_requests = 0

    def __init__(self, delay: float = 0.0, stalls: int = 0) -> None:
        self.delay = delay
        self.stalls = stalls
        self.started_at: list[float] = []
        self.approved: list[str] = []
        self.open = 0
        self.most_open = 0
        self._shipped_at: dict[str, float] = {}

    async def start(self, order: Order) -> None:
        assert order["lines"]
        self.started_at.append(time.perf_counter())
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    async def approve(self, order_id: str) -> None:
        self.approved.append(order_id)

    async def wait_until_shipped(self, order_id: str) -> None:
        self.stalls -= 1
        await asyncio.sleep(self.delay + (1 if self.stalls >= 0 else 0))
        self.open -= 1
        self._shipped_at[order_id] = time.time()

    async def shipped_at(self, order_ids: Sequence[str]) -> dict[str, float]:
        return {order_id: self._shipped_at[order_id] for order_id in order_ids}


def ignore() -> None:
    return


async def test_a_closed_loop_ships_every_order_at_its_concurrency() -> None:
    side = FakeSide(delay=0.01)

    sent = await run_closed_loop(side, 20, 4, ignore)

    assert (len(sent.due_at), len(side.approved), side.most_open) == (20, 20, 4)


async def test_each_shipped_order_is_counted() -> None:
    shipped = []

    await run_closed_loop(FakeSide(), 5, 2, lambda: shipped.append(1))

    assert len(shipped) == 5


async def test_an_open_loop_starts_orders_at_its_rate_while_earlier_ones_are_open() -> None:
    side = FakeSide(delay=0.5)

    sent = await run_open_loop(side, rate=50, seconds=0.2, on_shipped=ignore)

    gaps = sorted(sent.due_at.values())
    assert len(gaps) == side.most_open == 10
    assert gaps[-1] - gaps[0] == pytest.approx(0.18, abs=0.001)
    assert side.started_at[-1] - side.started_at[0] >= 0.17


async def test_latency_counts_from_when_an_order_was_due_not_from_when_it_was_sent() -> None:
    class BlockingSide(FakeSide):
        async def start(self, order: Order) -> None:
            if not self.started_at:
                time.sleep(0.2)  # noqa: ASYNC251 - the generator itself is stalled
            await super().start(order)

    side = BlockingSide()

    sent = await run_open_loop(side, rate=100, seconds=0.1, on_shipped=ignore)

    latencies = sent.latencies(await side.shipped_at(list(sent.due_at)))
    assert min(latencies) > 0.1


async def test_an_order_that_is_not_shipped_in_time_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "ORDER_TIMEOUT_SECONDS", 0.05)

    with pytest.raises(ExceptionGroup) as raised:
        await run_closed_loop(FakeSide(stalls=1), 2, 1, ignore)

    assert isinstance(raised.value.exceptions[0], LoadError)
    assert "was not shipped within" in str(raised.value.exceptions[0])


def test_no_two_orders_have_the_same_id() -> None:
    assert len({build_order(0)["order_id"] for _ in range(100)}) == 100
