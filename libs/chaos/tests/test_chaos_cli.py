"""What is asked of `fuze chaos` and makes no sense is refused before anything is started."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fuze_chaos.command import chaos


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate", "nan"], "nan is not a number of orders a second"),
        (["--rate", "inf"], "is not in the range"),
        (["--orders", "0"], "is not in the range"),
        (["--faults", "kill, burn"], "no such kind: 'burn'"),
        (["--faults", ""], "no such kind: ''"),
        (["--faults", "none,kill"], "`none`, or of these"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    options: list[str], said: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(chaos, [*options, "--state-dir", str(tmp_path)])

    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert said in " ".join(result.output.replace("│", "").split())
