"""Which faults a seed means: the same seed gives the same strikes, in the same order.

Strikes run in two lanes, one of the stack's own processes and one of what lies between and outside
of them, so that most of the time two things are wrong at once. A lane's first round has every kind
of fault, processes' each on every process; after it come all the pairs of kind and target that are
left, and then all of them again.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from fuze_chaos.outcome import Strike

SERVICES = ("order", "payment", "shipping", "gateway")
PROCESSES = (*SERVICES, "postgres", "temporal", "sandbox")
LINKS = (
    *(f"{client}->{server}" for client in SERVICES for server in ("postgres", "temporal")),
    "payment->sandbox",
    "shipping->sandbox",
    "sandbox->gateway",
    "client->gateway",
)
"""Who reaches whom through a proxy of ours."""

STEPS = (
    *(
        f"order@{event}"
        for event in (
            "order_received",
            "order_validated",
            "order_approved",
            "payment_charged",
            "shipping_started",
            "order_shipped",
            "cancellation_started",
            "payment_refunded",
        )
    ),
    "payment@before_write",
    "payment@after_write",
    "shipping@before_write",
    "shipping@after_write",
    "gateway@order_received",
)
"""Where a process is hit at a step's boundary.

`order@payment_charged` is the moment after that event was committed; `payment@before_write` the one
before the provider has written what it is asked for, `after_write` before it answers.
"""

_GAP_SECONDS = (0.3, 1.7)


class Lane(StrEnum):
    """Strikes of one lane follow each other; the two lanes do not wait for each other."""

    PROCESSES = "processes"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class Fault:
    """A kind of fault: whom it may hit, how long it lasts in seconds, what it does.

    `first` are the targets of its lane's first round; without any, one is drawn.
    """

    kind: str
    does: str
    lane: Lane
    targets: tuple[str, ...]
    lasts: tuple[float, float]
    first: tuple[str, ...] = ()


FAULTS = (
    Fault("kill", "SIGKILL, and started again", Lane.PROCESSES, PROCESSES, (0, 3), PROCESSES),
    Fault("freeze", "SIGSTOP, and SIGCONT", Lane.PROCESSES, PROCESSES, (2, 6), SERVICES),
    Fault("drain", "SIGTERM, and started again", Lane.PROCESSES, SERVICES, (0, 0.5), SERVICES),
    Fault(
        "kill-at-step",
        "SIGKILL at a step's boundary, and started again",
        Lane.PROCESSES,
        STEPS,
        (0, 2),
        ("order@payment_charged", "payment@before_write", "shipping@after_write"),
    ),
    Fault("freeze-at-step", "SIGSTOP at a step's boundary", Lane.PROCESSES, STEPS, (1, 5)),
    Fault("clock", "a clock that is an hour fast", Lane.PROCESSES, SERVICES, (4, 7)),
    Fault("lock", "the events are locked", Lane.PROCESSES, ("postgres",), (3, 7)),
    Fault("connections", "no connection is left", Lane.PROCESSES, ("postgres",), (3, 6)),
    Fault("disk-full", "nothing more can be written", Lane.PROCESSES, ("postgres",), (2, 4)),
    Fault("migrate", "a column is added and dropped", Lane.PROCESSES, ("order", "payment"), (1, 3)),
    Fault("cut", "connections are reset and refused", Lane.OUTSIDE, LINKS, (1, 5)),
    Fault("half-open", "whatever is sent vanishes", Lane.OUTSIDE, LINKS, (3, 8)),
    Fault("delay", "every byte is half a second late", Lane.OUTSIDE, LINKS, (4, 8)),
    Fault("reset-after-reply", "requests are done, answers lost", Lane.OUTSIDE, LINKS, (1, 3)),
    Fault("away", "503 for everybody", Lane.OUTSIDE, ("psp", "carrier"), (5, 15)),
    Fault(
        "misbehave",
        "lost replies, late landings, 500, 429",
        Lane.OUTSIDE,
        ("psp", "carrier"),
        (6, 12),
    ),
    Fault("slow", "answers take seconds", Lane.OUTSIDE, ("psp", "carrier"), (5, 10)),
    Fault("duplicates", "fifty times the same requests", Lane.OUTSIDE, ("gateway",), (0, 0)),
)
KINDS = tuple(fault.kind for fault in FAULTS)


def named(kinds: frozenset[str]) -> str:
    """Name kinds as `--faults` takes them."""
    if kinds == set(KINDS):
        return "all"
    return ",".join(kind for kind in KINDS if kind in kinds) or "none"


def draw(seed: int, lane: Lane, kinds: frozenset[str]) -> Iterator[Strike]:
    """Yield the lane's strikes without end; none where no kind of it is wanted.

    `at` is when a strike is due at the earliest, in seconds from the start of the load.
    """
    chance = random.Random(f"{seed}/{lane}")  # noqa: S311 - the same sequence each time, on purpose
    wanted = [fault for fault in FAULTS if fault.lane is lane and fault.kind in kinds]
    at = 0.0
    for number, (fault, target) in enumerate(_pairs(wanted, chance), start=1):
        at += chance.uniform(*_GAP_SECONDS)
        lasts = chance.uniform(*fault.lasts)
        # Odd and even, so that numbers are unique over both lanes.
        yield Strike(
            number=2 * number - (lane is Lane.PROCESSES),
            kind=fault.kind,
            target=target,
            at=round(at, 2),
            lasts=round(lasts, 2),
        )
        at += lasts


def first_round(kinds: frozenset[str], lane: Lane) -> int:
    """Return after how many strikes of a lane each of its wanted kinds has been there."""
    return sum(
        len(fault.first) or 1 for fault in FAULTS if fault.lane is lane and fault.kind in kinds
    )


def _pairs(wanted: list[Fault], chance: random.Random) -> Iterator[tuple[Fault, str]]:
    pairs = [(fault, target) for fault in wanted for target in fault.targets]
    if not pairs:
        return
    first = [
        (fault, target)
        for fault in wanted
        for target in fault.first or (chance.choice(fault.targets),)
    ]
    chance.shuffle(first)
    yield from first
    rest = [pair for pair in pairs if pair not in first]
    chance.shuffle(rest)
    yield from rest
    while True:
        chance.shuffle(pairs)
        yield from pairs
