"""`make new-service` makes a service that is complete: it runs, migrates and passes its tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]
_PARTS = ("deploy", "libs", "services", "templates", "conftest.py", "pyproject.toml")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository with a new service."""
    copy = tmp_path_factory.mktemp("repository")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "histories")
    for part in (*_PARTS, "docker-compose.yml", ".dockerignore"):
        if (_ROOT / part).is_dir():
            shutil.copytree(_ROOT / part, copy / part, ignore=ignored)
        else:
            shutil.copy(_ROOT / part, copy)
    run(copy, "deploy/new_service.py", "example")
    return copy


def run(repository: Path, *arguments: str) -> str:
    """Run Python in the copy, with the copy's packages in place of the installed ones."""
    sources = [str(path) for path in repository.glob("*/*/src")]
    inherited = {
        name: value
        for name, value in unmeasured_environment().items()
        if not name.startswith(("PYTEST_", "FUZE_"))
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=repository,
        env=inherited | {"PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_service_passes_its_tests_and_those_of_the_registry(
    repository: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.xml"
    run(
        repository,
        *("-m", "pytest", "services/example", "libs/devstack/tests/test_services.py"),
        *("libs/contracts/tests/test_golden.py", "libs/devstack/tests/test_migrations.py"),
        *("-k", "example or generated_files_are or every_service", f"--junit-xml={report}"),
    )

    # The printed report may be broken by log lines of Temporal's core; the file is not.
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - written by the line above
    passed = {case.get("name") for case in cases if len(case) == 0}
    assert passed >= {
        "test_a_history_replays",
        "test_no_revision_is_missing[example]",
        "test_every_message_has_a_golden_file[example.ExampleRequest]",
        "test_a_worker_polls_the_task_queue_of_its_contract[example]",
        "test_generated_files_are_what_the_registry_says",
    }


def test_a_new_service_follows_the_rules_of_style(repository: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    assert ruff is not None
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [ruff, *command, "--no-cache", "services/example", "libs/contracts"],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_service_is_part_of_the_stack(repository: Path, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from fuze_devstack.ports import Ports
from fuze_devstack.topology import StackDefinition

stack = StackDefinition(Path(sys.argv[1]), Ports())
for service in stack.services():
    print(*service.command[1:])
print("roles", stack.migrations().environment["FUZE_MIGRATION_DATABASE_URLS"])
"""
    output = run(repository, "-c", script, str(tmp_path))

    assert "-m fuze_example\n" in output
    assert "example_migrator" in output.partition("roles")[2]


@pytest.mark.parametrize("name", ["order", "Example", "two words"])
def test_a_name_that_cannot_be_used_is_refused(repository: Path, name: str) -> None:
    before = sorted((repository / "services").iterdir())

    done = subprocess.run(
        [sys.executable, "deploy/new_service.py", name],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert name in done.stderr
    assert sorted((repository / "services").iterdir()) == before
