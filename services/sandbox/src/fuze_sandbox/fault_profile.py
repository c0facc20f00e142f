"""Faults on demand, per part of the sandbox: set with `PUT /control/{part}`."""

import asyncio
import random
import threading
from typing import Literal, get_args

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from fuze_sandbox.store import SandboxStore

Part = Literal["psp", "carrier"]
Fault = Literal["response_dropped", "delayed_commit", "error_once", "error", "rate_limited", "slow"]
Breakpoint = Literal["before_write", "after_write"]

_MAX_PAUSE_SECONDS = 60.0
_MAX_PAUSED_REQUESTS = 10
"""Each of them blocks one of the server's 40 threads. Without any left, no request is answered, not
even the one that ends the pause."""
_FAULTS: dict[str, Fault] = {fault: fault for fault in get_args(Fault)}


class FaultProfile(BaseModel):
    """How a part behaves.

    `delay_seconds` is added to each request. `faults` are probabilities per fault, drawn in a
    sequence that `seed` makes reproducible; `commit_delay_seconds` is how late a `delayed_commit`
    is written. `idempotency_key_ttl_seconds` is when keys expire; with `idempotency_enabled` false
    they are ignored. `pause_at` pauses requests at a breakpoint, before the write or before the
    response, until another profile is set, at most 60 s; of more than ten at a time the others
    pass. Everything but `available` is reset by a restart.
    """

    model_config = ConfigDict(extra="forbid")

    available: bool = True
    delay_seconds: float = Field(0, ge=0, le=600)
    faults: dict[Fault, float] = Field(default_factory=dict)
    seed: int = 0
    commit_delay_seconds: float = Field(2, ge=0, le=600)
    idempotency_key_ttl_seconds: float | None = Field(None, ge=0)
    idempotency_enabled: bool = True
    pause_at: Breakpoint | None = None


class PartStatus(BaseModel):
    """Whether a part is available, the requests paused at a breakpoint, and all since its start."""

    available: bool
    paused_requests: int
    requests: int


class FaultInjector:
    """Applies the current fault profile of one part."""

    def __init__(self, part: Part, store: SandboxStore) -> None:
        self.part = part
        self.profile = FaultProfile()
        self._store = store
        self._random = _create_random(0)
        self._profile_changed = threading.Condition()
        self._paused_requests = 0
        self._requests = 0

    @property
    def status(self) -> PartStatus:
        """Return the part's availability, and how many requests it has paused and received."""
        return PartStatus(
            available=self._store.is_available(self.part),
            paused_requests=self._paused_requests,
            requests=self._requests,
        )

    def set_profile(self, profile: FaultProfile) -> None:
        """Replace the profile, and release the requests that it does not pause."""
        with self._profile_changed:
            self.profile = profile
            self._profile_changed.notify_all()
        self._random = _create_random(profile.seed)
        self._store.set_available(self.part, available=profile.available)

    async def require_available(self) -> None:
        """Respond with 503 during an outage; otherwise delay the request as configured."""
        self._requests += 1
        if not self._store.is_available(self.part):
            raise HTTPException(
                503, f"the {self.part} is unavailable", headers={"Retry-After": "1"}
            )
        await asyncio.sleep(self.profile.delay_seconds)

    def wait_at(self, breakpoint_: Breakpoint) -> None:
        """Block the calling thread while requests are paused at this breakpoint."""
        with self._profile_changed:
            is_full = self._paused_requests >= _MAX_PAUSED_REQUESTS
            if self.profile.pause_at != breakpoint_ or is_full:
                return
            self._paused_requests += 1
            self._profile_changed.wait_for(
                lambda: self.profile.pause_at != breakpoint_, _MAX_PAUSE_SECONDS
            )
            self._paused_requests -= 1

    def choose_fault(self, magic_value: str = "") -> Fault | None:
        """Return the fault that `magic_value` names, or else draw one from the profile."""
        if fault := _FAULTS.get(magic_value):
            return fault
        drawn = self._random.random()
        for fault, probability in sorted(self.profile.faults.items()):
            if drawn < probability:
                return fault
            drawn -= probability
        return None


def _create_random(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a reproducible sequence, not a secret
