"""CPU time and memory of processes, by role, from the operating system's accounting."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence

import psutil

LOAD_GENERATOR = "load generator"
"""The role of this process: it has a part in every figure, and in no side's total."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants since they started.

    A process that has ended counts with its parent, which has waited for it: a database backend
    that closed, or a worker of a pool.
    """
    seconds = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the proportional memory (PSS) of processes and their descendants.

    A page that several processes share counts once, in parts.
    """
    total = 0
    for pid in pids:
        for process in _tree(pid):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


class CpuMeter:
    """Reads the CPU time of each role; each role has the processes with these ids."""

    def __init__(self, roles: Mapping[str, Sequence[int]]) -> None:
        self._roles = roles

    def read(self) -> dict[str, float]:
        """Return the seconds of each role since its processes started, this process included."""
        times = os.times()
        return {
            **{role: sum(map(cpu_seconds, pids)) for role, pids in self._roles.items()},
            LOAD_GENERATOR: times.user + times.system,
        }


def milliseconds_per_order(
    before: Mapping[str, float], after: Mapping[str, float], orders: int
) -> dict[str, float]:
    """Return what each role used between two readings, per order."""
    return {role: (after[role] - before[role]) * 1000 / orders for role in after}


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
