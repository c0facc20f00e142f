"""The environment of the rivals' packages."""

from pathlib import Path

import pytest
from click import ClickException

from fuze_bench import environment
from fuze_bench.catalog import SIDES, find_redis_server
from fuze_bench.environment import LOCK, EnvironmentFailedError, RivalEnvironment, own_versions
from fuze_bench.side import Side


def test_an_environment_that_was_never_made_is_not_current(tmp_path: Path) -> None:
    assert not RivalEnvironment(tmp_path / "venv").is_current


def test_an_environment_of_an_older_lock_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RivalEnvironment(tmp_path)
    made.mark_current()
    assert made.is_current

    changed = tmp_path / "rivals.lock"
    changed.write_text("dbos==99\n")
    monkeypatch.setattr(environment, "LOCK", changed)

    assert not made.is_current


def test_a_failed_installation_says_how_to_measure_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_INSTALL", Path("/bin/false"))
    monkeypatch.setattr(environment, "_CREATE", ["true"])

    with pytest.raises(EnvironmentFailedError, match="--sides fuze,floor"):
        RivalEnvironment(tmp_path / "venv").make()


@pytest.mark.parametrize("side", SIDES.values(), ids=lambda side: side.name)
def test_every_package_whose_version_is_reported_is_installed(side: Side) -> None:
    if side.needs_rival_packages:
        locked = {line.partition("==")[0] for line in LOCK.read_text().splitlines() if "==" in line}
        assert {package.partition("[")[0] for package in locked} >= set(side.packages)
    else:
        assert all(own_versions(side.packages).values())


def test_the_redis_server_of_the_machine_is_used_where_no_wheel_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_redis_server(tmp_path / "venv") == str(tmp_path / "redis-server")


def test_without_a_redis_server_it_is_said_how_to_measure_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClickException, match="--sides fuze,floor,dbos"):
        find_redis_server(tmp_path / "venv")
