"""The registry of services agrees with everything that names a service."""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from fuze_devstack.services import SERVICES, WORKERS, Service
from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[3]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "deploy/generate.py"), "--check"],
        env=unmeasured_environment() | {"PYTHONPATH": str(root / "libs/devstack/src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The registry with everything that is generated from it."""
    for folder in ("deploy", "libs/devstack/src"):
        shutil.copytree(_ROOT / folder, tmp_path / folder)
    for library in _ROOT.glob("libs/*/pyproject.toml"):
        target = tmp_path / library.relative_to(_ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(library, target)
    for file in ("docker-compose.yml", "pyproject.toml"):
        shutil.copy(_ROOT / file, tmp_path)
    return tmp_path


def test_generated_files_are_what_the_registry_says() -> None:
    checked = check(_ROOT)

    assert checked.returncode == 0, checked.stderr


def test_a_service_that_is_missing_in_a_generated_file_is_found(copy: Path) -> None:
    with (copy / "libs/devstack/src/fuze_devstack/services.toml").open("a") as registry:
        registry.write('[another]\nport = 9999\ntask_queue = "another"\nschema = "another"\n')

    checked = check(copy)

    assert checked.returncode == 1
    for name in ("docker-compose.yml", "roles.sql", "pyproject.toml"):
        assert name in checked.stderr


def test_every_service_has_a_folder_with_a_lock_and_every_folder_a_service() -> None:
    assert {path.parent.name for path in _ROOT.glob("services/*/pyproject.toml")} == set(SERVICES)
    assert {path.parent.name for path in _ROOT.glob("services/*/requirements.lock")} == set(
        SERVICES
    )


@pytest.mark.parametrize("service", WORKERS, ids=lambda service: service.name)
def test_a_worker_polls_the_task_queue_of_its_contract(service: Service) -> None:
    contract = import_module(f"fuze_contracts.{service.name}")

    assert getattr(contract, f"{service.name.upper()}_TASK_QUEUE") == service.task_queue


def test_ports_differ() -> None:
    ports = [service.port for service in SERVICES.values()]

    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("library", ["bench", "chaos", "devstack", "testing"])
def test_no_image_can_contain_a_library_for_development(library: str) -> None:
    assert f"libs/{library}" in (_ROOT / ".dockerignore").read_text().splitlines()
