"""The pages of docs/reference agree with the code, and so does the list of known variables."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("script", ["generate_settings.py", "generate_reference.py"])
def test_the_pages_are_what_the_code_says(script: str) -> None:
    checked = subprocess.run(
        [sys.executable, str(_ROOT / "deploy" / script), "--check"],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
