"""A process says which build it is."""

import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from fuze_devstack.ports import Ports
from fuze_runtime import health
from fuze_runtime.build_info import describe_build, get_build_info

_ROOT = Path(__file__).parents[3]


async def test_liveness_says_which_build_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_REVISION", "3f2a91c")
    port = Ports.free().gateway
    async with (
        health.serve("127.0.0.1", port, {}),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        alive = (await client.get("/livez")).json()

    assert alive == {"status": "alive"} | get_build_info()
    assert alive["revision"] == "3f2a91c"


def test_a_process_from_the_source_tree_has_no_revision() -> None:
    assert get_build_info({})["revision"] == "unknown"
    assert describe_build("fuze_order").startswith("fuze_order ")


def test_all_packages_of_a_release_have_the_same_version() -> None:
    assert {project["version"] for project in _read_projects()} == {get_build_info({})["version"]}


def test_packages_of_a_release_require_each_other_in_its_version() -> None:
    required = {
        requirement.partition("=")[2]
        for project in _read_projects()
        for requirement in project["dependencies"]
        if requirement.startswith("fuze-")
    }

    assert required == {f"={get_build_info({})['version']}"}


def _read_projects() -> list[dict[str, Any]]:
    paths = _ROOT.glob("*/*/pyproject.toml")
    return [tomllib.loads(path.read_text())["project"] for path in paths]
