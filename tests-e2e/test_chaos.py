"""`fuze chaos` end to end: orders survive faults, and the checker finds injected defects."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fuze_chaos.defects.defect import Defect
from fuze_chaos.faults import clock_skew
from fuze_chaos.faults.catalog import FAULT_NAMES, InjectedFault
from fuze_chaos.run import COMPLETION_TIMEOUT_SECONDS
from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[1]
_SEED = os.environ.get("FUZE_CHAOS_SEED", "20261125")
_SHORT_RUN_KINDS = (
    *("kill-at-step", "reset", "drop-response", "flaky", "duplicate-requests"),
    *("endpoint-kill", "endpoint-lie"),
    *("operator-reset", "operator-cancel", "operator-complete"),
)
_SHORT_RUN = (
    *("--orders", "16", "--rate", "1", "--seed", _SEED),
    *("--faults", ",".join(_SHORT_RUN_KINDS)),
)
_FULL_RUN = ("--orders", "500", "--seed", _SEED, "--track-delivery")

_SHORT_RUN_SECONDS = 480.0
"""More than a run takes that waits for a stuck order: its report says for which one."""

_FULL_RUN_SECONDS = 840.0

_DEFECT_RUN_SECONDS = 600.0

_STOP_SECONDS = 60.0

_DEFECTS = {
    Defect.SKIP_EVENT: "I7",
    Defect.DISPATCH_TWICE: "I6",
    Defect.CHARGE_WITHOUT_RECORDING: "I2",
    Defect.SKIP_REFUND: "I5",
    Defect.DROP_PROVIDER_KEY: "I1",
    Defect.SHIP_BEFORE_CAPTURE: "I4",
    Defect.WRONG_FINAL_STATUS: "I7",
    Defect.IGNORE_CANCEL: "I6",
    Defect.DROP_WEBHOOK: "I14",
    Defect.DROP_CANCELLATION: "I6",
    Defect.LOSE_ORDER: "I3",
    Defect.IGNORE_IDEMPOTENCY_KEY: "I9",
    Defect.FORGET_VOID_AFTER_RESET: "I5",
    Defect.IGNORE_MISSING_WORKFLOW: "I3",
    Defect.DROP_RETURN: "I5",
}
"""Each defect, and an invariant that it violates; it may violate others as well."""

_DEFECT_OPTIONS = {
    Defect.FORGET_VOID_AFTER_RESET: (
        *("--orders", "40", "--rate", "2", "--seed", "7"),
        *("--faults", "operator-reset-and-cancel"),
    ),
    Defect.IGNORE_MISSING_WORKFLOW: (
        *("--orders", "40", "--rate", "2", "--seed", "7"),
        *("--faults", "operator-terminate,operator-delete"),
    ),
    Defect.DROP_RETURN: (
        *("--orders", "40", "--rate", "4", "--seed", "7", "--track-delivery"),
        *("--faults", "operator-reset,operator-cancel"),
    ),
}
"""The runs of defects that operators or deliveries reveal."""

_QUICK_DEFECTS = (Defect.SKIP_EVENT, Defect.DISPATCH_TWICE, Defect.DROP_WEBHOOK)
"""Three that eight orders show: each affects one in three of the orders.

They violate different invariants, so one run shows that each of them is found.
"""


class FinishedRun:
    """A finished run: its exit code, its output, and its report."""

    def __init__(self, exit_code: int, output: str, state: Path) -> None:
        self.exit_code = exit_code
        self.output = output
        reports = list(state.glob("chaos/*/report.json"))
        assert len(reports) == 1, self.output
        self.folder = reports[0].parent
        self.report: dict[str, Any] = json.loads(reports[0].read_text())

    @property
    def violated(self) -> set[str]:
        return {one["invariant"] for one in self.report["checks"] if one["verdict"] == "fail"}

    @property
    def injected(self) -> Counter[str]:
        return Counter(
            one["scheduled"]["kind"] for one in self.report["faults"] if one["error"] is None
        )


def run_chaos(
    fuze: list[str],
    state: Path,
    *options: str,
    seconds: float = _SHORT_RUN_SECONDS,
    environment: dict[str, str] | None = None,
) -> FinishedRun:
    """Return the run when it has finished; interrupt one that takes longer than `seconds`."""
    command = [*fuze, "chaos", "--state-dir", str(state), *options]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=_STOP_SECONDS)
            pytest.fail(f"the run did not finish within {seconds:.0f} s:\n{output}")
    return FinishedRun(process.returncode, output, state)


def _keep_in_checkout(name: str) -> Path:
    """Return a new folder in the checkout's state directory, where the report can be looked at."""
    folder = _ROOT / ".fuze" / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def short_run(fuze_of_unmeasured_services: list[str]) -> FinishedRun:
    return run_chaos(fuze_of_unmeasured_services, _keep_in_checkout("chaos-short"), *_SHORT_RUN)


@pytest.fixture(scope="module")
def full_run(fuze: list[str]) -> FinishedRun:
    return run_chaos(fuze, _keep_in_checkout("chaos-proof"), *_FULL_RUN, seconds=_FULL_RUN_SECONDS)


@pytest.mark.timeout(600)
def test_sixteen_orders_survive_faults_of_each_lane(short_run: FinishedRun) -> None:
    assert (short_run.report["verdict"], short_run.exit_code) == ("pass", 0), short_run.output
    # A duplicate burst is an order of its own.
    assert sum(short_run.report["final_statuses"].values()) >= 16


@pytest.mark.timeout(600)
def test_the_short_run_injects_its_faults(short_run: FinishedRun) -> None:
    faults = [InjectedFault.model_validate(one) for one in short_run.report["faults"]]

    assert short_run.injected.keys() >= {
        *("reset", "flaky", "duplicate-requests", "endpoint-kill", "endpoint-lie")
    }
    assert short_run.injected.keys() & {"operator-reset", "operator-cancel", "operator-complete"}
    # Whether an order is at the step in time depends on the machine; nothing else may fail.
    failed = [one for one in faults if one.error and not one.scheduled.needs_order]
    assert failed == [], short_run.output


@pytest.mark.timeout(600)
def test_no_fault_waits_for_an_order_after_the_last_has_ended(short_run: FinishedRun) -> None:
    report = short_run.report
    last_ended = max(report["workload_ended"], report["last_order_ended"])

    assert not [
        fault.scheduled
        for fault in map(InjectedFault.model_validate, report["faults"])
        if fault.scheduled.needs_order and fault.started > last_ended
    ]


@pytest.mark.timeout(600)
def test_a_run_that_passes_keeps_its_report_and_deletes_its_databases(
    short_run: FinishedRun,
) -> None:
    assert (short_run.folder / "report.html").stat().st_size > 10_000
    assert (short_run.folder / "client.jsonl").exists()
    assert not (short_run.folder / "postgres").exists()


@pytest.mark.timeout(600)
def test_three_defects_are_found_in_eight_orders(fuze: list[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    # A seed whose first eight orders are fast, and five of which the defects affect.
    options = ["--orders", "8", "--rate", "8", "--seed", "5972", "--faults", "none"]
    for defect in _QUICK_DEFECTS:
        options += ["--inject-defect", defect.value]

    run = run_chaos(fuze, tmp_path, *options, environment=unmeasured_environment())

    assert run.exit_code == 1, run.output
    assert run.violated >= {_DEFECTS[defect] for defect in _QUICK_DEFECTS}, run.output


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_five_hundred_orders_survive_every_fault(full_run: FinishedRun) -> None:
    assert (full_run.report["verdict"], full_run.exit_code) == ("pass", 0), full_run.output
    assert sum(full_run.report["final_statuses"].values()) >= 500


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_the_full_run_injects_every_kind_of_fault(full_run: FinishedRun) -> None:
    kinds = set(FAULT_NAMES) if clock_skew.is_supported() else set(FAULT_NAMES) - {"clock-skew"}

    assert full_run.injected.keys() == kinds, full_run.output


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_the_last_order_ends_in_time_after_the_last_fault(full_run: FinishedRun) -> None:
    report = full_run.report

    assert report["last_order_ended"] - report["last_fault_ended"] <= COMPLETION_TIMEOUT_SECONDS


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_the_full_run_has_orders_of_every_final_status(full_run: FinishedRun) -> None:
    assert full_run.report["final_statuses"].keys() == {
        "shipped", "delivered", "returned", "rejected", "expired", "payment_declined", "cancelled"
    }  # fmt: skip


def test_every_defect_has_an_invariant_that_it_violates() -> None:
    assert _DEFECTS.keys() == set(Defect)


@pytest.mark.proof
@pytest.mark.timeout(700)
@pytest.mark.parametrize("defect", _DEFECTS, ids=lambda one: one.value)
def test_every_defect_is_found(fuze: list[str], tmp_path: Path, defect: Defect) -> None:
    tmp_path.chmod(0o711)
    default = ("--orders", "80", "--rate", "6", "--seed", "7", "--faults", "none")
    options = _DEFECT_OPTIONS.get(defect, default)

    run = run_chaos(
        fuze, tmp_path, *options, "--inject-defect", defect.value, seconds=_DEFECT_RUN_SECONDS
    )

    assert run.exit_code == 1, run.output
    assert _DEFECTS[defect] in run.violated, run.output
