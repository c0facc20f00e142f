"""docs/reference/settings.md and the list of known variables agree with the settings classes."""

import subprocess
import sys
from pathlib import Path

from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]


def test_the_page_of_settings_is_what_the_classes_say() -> None:
    checked = subprocess.run(
        [sys.executable, str(_ROOT / "deploy/generate_settings.py"), "--check"],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
