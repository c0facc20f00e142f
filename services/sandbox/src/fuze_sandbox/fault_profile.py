"""How well the sandbox's parts work today, set at `PUT /control/{part}`."""

import asyncio
import random
import threading
from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from fuze_sandbox.books import Books

Part = Literal["psp", "carrier"]
Fault = Literal["response_dropped", "delayed_commit", "error_once", "error", "rate_limited", "slow"]
Gate = Literal["before_write", "after_write"]

_LONGEST_HOLD = 60.0


class Conditions(BaseModel):
    """Whether a part answers, after how long, and how often it misbehaves.

    `faults` are probabilities; `seed` makes their sequence the same each time. Two settings are the
    provider's alone: `keep_keys_seconds` until it forgets an idempotency key, `honour_keys` false
    and it never heard of them. `hold` stops whoever comes to a gate, before anything is written or
    before the answer, until other conditions hold (60 s at most): so a test decides a race. All but
    `available` lasts until the sandbox restarts.
    """

    model_config = ConfigDict(extra="forbid")

    available: bool = True
    delay_seconds: float = Field(0, ge=0, le=600)
    faults: dict[Fault, float] = Field(default_factory=dict)
    seed: int = 0
    late_by_seconds: float = Field(2, ge=0, le=600)
    keep_keys_seconds: float | None = Field(None, ge=0)
    honour_keys: bool = True
    hold: Gate | None = None


class State(BaseModel):
    """Whether a part answers, and how many requests it holds at a gate."""

    available: bool
    held: int


class Weather:
    """The conditions of one part, as they are now."""

    def __init__(self, part: Part, books: Books) -> None:
        self.part = part
        self.conditions = Conditions()
        self._books = books
        self._random = _reproducible(0)
        self._gates = threading.Condition()
        self._held = 0

    @property
    def state(self) -> State:
        """Say how it is."""
        return State(available=self._books.available(self.part), held=self._held)

    def change(self, conditions: Conditions) -> None:
        """Let these conditions hold from now on."""
        with self._gates:
            self.conditions = conditions
            self._gates.notify_all()
        self._random = _reproducible(conditions.seed)
        self._books.set_available(self.part, available=conditions.available)
        if self.part == "psp":
            self._books.keep_keys_seconds = conditions.keep_keys_seconds

    async def check(self) -> None:
        """Refuse during an outage, and take as long as it takes."""
        if not self._books.available(self.part):
            raise HTTPException(503, f"the {self.part} is down", headers={"Retry-After": "1"})
        await asyncio.sleep(self.conditions.delay_seconds)

    def pass_gate(self, gate: Gate) -> None:
        """Return when nobody holds this gate; it blocks the calling thread."""
        with self._gates:
            if self.conditions.hold != gate:
                return
            self._held += 1
            self._gates.wait_for(lambda: self.conditions.hold != gate, _LONGEST_HOLD)
            self._held -= 1

    def fault(self) -> Fault | None:
        """Draw what goes wrong with this request, if anything does."""
        drawn = self._random.random()
        for fault, probability in sorted(self.conditions.faults.items()):
            if drawn < probability:
                return fault
            drawn -= probability
        return None


def _reproducible(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same sequence each time, on purpose
