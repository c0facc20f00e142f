"""The pictures of the documentation agree with the code."""

import subprocess
import sys
from pathlib import Path

from fuze_devstack.services import WORKERS
from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]
_PICTURES = _ROOT / "docs/pictures"
_MAX_BYTES = 120_000


def test_the_diagrams_and_charts_are_what_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "pictures", "--check"],
        cwd=_ROOT / "deploy",
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr


def test_the_picture_of_the_system_has_every_service_with_its_queue_and_its_schema() -> None:
    diagram = (_ROOT / "deploy/pictures/system.d2").read_text().splitlines()
    expected = [
        f"  {one.task_queue}: {one.task_queue} {{class: wait; shape: queue}}" for one in WORKERS
    ]
    expected += [f"{one.name}: {one.name}\\nschema {one.schema} {{class: busy}}" for one in WORKERS]

    assert [line for line in expected if line not in diagram] == []


def test_every_picture_is_small_and_has_a_light_and_a_dark_version() -> None:
    sizes = {path.name: path.stat().st_size for path in _PICTURES.iterdir()}

    assert [name for name, size in sizes.items() if size > _MAX_BYTES] == []
    assert {name for name in sizes if "-light." in name} == {
        name.replace("-dark.", "-light.") for name in sizes if "-light." not in name
    }
