"""Invalid options of `fuze chaos` are rejected before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fuze_chaos.cli import chaos


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "nan"], "nan is not a number of orders per second"),
        (["--rate", "inf"], "is not in the range"),
        (["--orders", "0"], "is not in the range"),
        (["--faults", "kill, burn"], "unknown kind: 'burn'"),
        (["--faults", ""], "unknown kind: ''"),
        (["--faults", "none,kill"], "`none`, or some of"),
        (["--inject-defect", "no-such-defect"], "is not one of"),
        (
            ["--inject-defect", "skip-event", "--inject-defect", "wrong-final-status"],
            "a service can have one defect",
        ),
    ],
)
def test_an_invalid_option_is_rejected(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(chaos, [*options, "--state-dir", str(tmp_path)])

    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert message in " ".join(result.output.replace("│", "").split())
