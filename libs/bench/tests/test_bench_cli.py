"""`fuze bench` explains itself, and rejects invalid options before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fuze_bench.catalog import SIDES
from fuze_bench.cli import bench
from fuze_client.cli.main import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sides", "fuze,airflow"], "unknown side: 'airflow'"),
        (["--sides", ""], "unknown side: ''"),
        (["--rate", "nan"], "nan is not a number of orders per second"),
        (["--rate", "0"], "is not in the range"),
        (["--orders", "0"], "is not in the range"),
        (["--rounds", "0"], "is not in the range"),
        (["--concurrency", "0"], "is not in the range"),
    ],
)
def test_an_invalid_option_is_rejected(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(bench, [*options, "--state-dir", str(tmp_path)])

    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert message in " ".join(result.output.replace("│", "").split())


def test_the_help_names_every_side() -> None:
    shown = CliRunner().invoke(bench, ["--help"]).output

    assert all(f"\n    {name} " in shown for name in SIDES)


def test_fuze_has_the_command() -> None:
    result = CliRunner().invoke(main, ["bench", "--help"])

    assert (result.exit_code, "Measure Fuze" in result.output) == (0, True)
