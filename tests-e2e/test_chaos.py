"""Five hundred orders under every fault; and each defect on purpose turns the checker red."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fuze_chaos import clock
from fuze_chaos.defects import Defect
from fuze_chaos.plan import KINDS

_ROOT = Path(__file__).parents[1]
_SEED = os.environ.get("FUZE_CHAOS_SEED", "20261125")
_FEW_FAULTS = "kill-at-step,drain,cut,reset-after-reply,misbehave,duplicates"
_BOUND_SECONDS = 60
"""The largest activity time-out, and thirty seconds."""


class Ran:
    """A run that is over: how it exited, and its report."""

    def __init__(self, done: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.exit_code = done.returncode
        self.said = done.stdout + done.stderr
        (found,) = folder.glob("chaos/*/report.json")
        self.folder = found.parent
        self.report: dict[str, Any] = json.loads(found.read_text())

    @property
    def failed(self) -> set[str]:
        checks = self.report["checks"]
        return {one["invariant"] for one in checks if one["verdict"] == "fail"}


def run(fuze: list[str], folder: Path, *options: str) -> Ran:
    command = [*fuze, "chaos", "--state-dir", str(folder), *options]
    return Ran(subprocess.run(command, capture_output=True, text=True, check=False), folder)


@pytest.fixture(scope="module")
def chaos(fuze: list[str]) -> Ran:
    """A run whose report stays in the checkout's state folder, for whoever wants to look at it."""
    folder = _ROOT / ".fuze" / "proof"
    shutil.rmtree(folder, ignore_errors=True)
    return run(fuze, folder, "--orders", "500", "--follow", "--seed", _SEED)


@pytest.mark.timeout(300)
def test_orders_survive_killed_processes_and_lost_replies(fuze: list[str], tmp_path: Path) -> None:
    """The short version of the run below: fewer kinds of faults, fewer orders."""
    tmp_path.chmod(0o711)

    ran = run(fuze, tmp_path, "--orders", "60", "--faults", _FEW_FAULTS, "--seed", _SEED)

    assert (ran.report["verdict"], ran.exit_code) == ("pass", 0), ran.said
    assert not [one for one in ran.report["strikes"] if one["failed"]]


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_five_hundred_orders_outlive_every_fault(chaos: Ran) -> None:
    assert (chaos.report["verdict"], chaos.exit_code) == ("pass", 0), chaos.said
    # The storms of duplicates are orders, too.
    assert sum(chaos.report["ends"].values()) >= 500


@pytest.mark.proof
def test_every_kind_of_fault_was_carried_out(chaos: Ran) -> None:
    happened = Counter(
        one["strike"]["kind"] for one in chaos.report["strikes"] if not one["failed"]
    )

    wanted = set(KINDS) if clock.can_be_wrong() else set(KINDS) - {"clock"}
    assert happened.keys() == wanted, chaos.said


@pytest.mark.proof
def test_the_last_order_ends_soon_after_the_last_fault(chaos: Ran) -> None:
    report = chaos.report

    assert report["last_order_ended"] - report["last_fault_ended"] <= _BOUND_SECONDS


@pytest.mark.proof
def test_every_way_to_end_was_gone(chaos: Ran) -> None:
    assert chaos.report["ends"].keys() == {
        "shipped", "delivered", "returned", "rejected", "expired", "payment_declined", "cancelled"
    }  # fmt: skip


@pytest.mark.proof
def test_the_report_stays(chaos: Ran) -> None:
    assert (chaos.folder / "report.html").stat().st_size > 10_000
    assert (chaos.folder / "client.jsonl").exists()
    assert not (chaos.folder / "postgres").exists()  # of a run that passed nothing else is kept


DEFECTS = {
    Defect.SKIP_EVENT: "I7",
    Defect.DISPATCH_TWICE: "I6",
    Defect.CHARGE_WITHOUT_RECORDING: "I2",
    Defect.SKIP_REFUND: "I5",
    Defect.DROP_PROVIDER_KEY: "I1",
    Defect.SHIP_BEFORE_CAPTURE: "I4",
    Defect.FORGET_ROW: "I7",
    Defect.IGNORE_CANCEL: "I6",
    Defect.FORGET_CANCEL: "I6",
    Defect.LOSE_ORDER: "I3",
    Defect.ANSWER_OTHERWISE: "I9",
}
"""Each defect, and an invariant that it breaks; it may break others as well."""


def test_every_defect_has_an_invariant_that_it_breaks() -> None:
    assert DEFECTS.keys() == set(Defect)


@pytest.mark.proof
@pytest.mark.timeout(500)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.value)
def test_a_defect_on_purpose_turns_the_checker_red(
    fuze: list[str], tmp_path: Path, defect: Defect
) -> None:
    tmp_path.chmod(0o711)
    options = ["--orders", "80", "--rate", "6", "--seed", "7", "--faults", "none"]

    ran = run(fuze, tmp_path, *options, "--defect", defect.value)

    assert ran.exit_code == 1, ran.said
    assert DEFECTS[defect] in ran.failed, ran.said
