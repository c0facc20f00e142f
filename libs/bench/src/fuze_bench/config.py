"""What a run measures: how many orders, how often, and for how long."""

from pydantic import BaseModel, ConfigDict


class BenchConfig(BaseModel):
    """The sizes of a run.

    `orders` are measured at `concurrency` in each round, after `warm_up` others. Then orders arrive
    for `arrival_seconds` at `rate` a second; without one, at half of what the first side of the
    first round reached. At the end of a round the side is idle for `idle_seconds`.

    After the rounds Fuze's cost of an order is measured with `stored_orders` more in the tables,
    then with `open_orders` more that await approval, at `growth_concurrency`.
    """

    model_config = ConfigDict(frozen=True)

    sides: tuple[str, ...]
    rounds: int
    orders: int
    warm_up: int
    concurrency: int
    arrival_seconds: float
    idle_seconds: float
    rate: float | None = None
    stored_orders: int = 0
    open_orders: int = 0
    growth_concurrency: int = 10

    def order_of(self, number: int) -> tuple[str, ...]:
        """Return the sides in the order of a round: forwards, then backwards, and so on.

        What changes on the machine during a run then affects all of them alike.
        """
        return self.sides if number % 2 == 0 else tuple(reversed(self.sides))

    @property
    def steps(self) -> int:
        """The number of times that a side runs."""
        return self.rounds * len(self.sides)


FULL = {
    "rounds": 3,
    "orders": 250,
    "warm_up": 40,
    "concurrency": 40,
    "arrival_seconds": 20.0,
    "idle_seconds": 5.0,
    "stored_orders": 10_000,
    "open_orders": 1_000,
}
QUICK = FULL | {
    "rounds": 1,
    "orders": 100,
    "warm_up": 20,
    "arrival_seconds": 10.0,
    "idle_seconds": 3.0,
    "stored_orders": 0,
    "open_orders": 0,
}
