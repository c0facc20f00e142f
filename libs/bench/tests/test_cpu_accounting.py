"""The CPU time and memory of real processes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fuze_bench.cpu_accounting import (
    LOAD_GENERATOR,
    CpuMeter,
    cpu_seconds,
    memory_bytes,
    milliseconds_per_order,
)

_BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
_WAIT = "print('ready', flush=True); input()\n"
_RUN_BURNING_CHILD = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_BURN!r}])\n"


@contextmanager
def child(program: str) -> Iterator[int]:
    """The id of a process that has run the program, and waits."""
    command = [sys.executable, "-c", program + _WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_the_time_of_a_process_is_what_it_has_used() -> None:
    with child(_BURN) as pid:
        assert 0.25 < cpu_seconds(pid) < 1.5


def test_a_descendant_that_has_ended_counts_with_its_parent() -> None:
    with child(_RUN_BURNING_CHILD) as pid:
        assert cpu_seconds(pid) > 0.25


def test_a_process_that_does_not_exist_has_used_nothing() -> None:
    with child("") as pid:
        pass

    assert cpu_seconds(pid) == 0


def test_an_idle_process_costs_an_order_nothing() -> None:
    with child(_BURN) as pid:
        meter = CpuMeter({"worker": [pid]})
        before = meter.read()
        time.sleep(0.05)
        after = meter.read()

    assert milliseconds_per_order(before, after, 10)["worker"] == 0


def test_a_role_has_the_time_of_all_its_processes_per_order() -> None:
    before, after = {"worker": 1.0}, {"worker": 3.0}

    assert milliseconds_per_order(before, after, 100) == {"worker": pytest.approx(20.0)}


def test_the_load_generator_is_a_role_of_its_own() -> None:
    assert CpuMeter({}).read()[LOAD_GENERATOR] > 0


def test_a_process_has_memory() -> None:
    with child("held = bytearray(b'x' * 20_000_000)\n") as pid:
        assert 20_000_000 < memory_bytes([pid]) < 100_000_000
