"""`make release` refuses what is not ready, in one line that says what to do."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_GIT = shutil.which("git") or "git"
_CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 0.2.0\n\n### Added\n\n- A console.\n\n## 0.1.0\n"

Release = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that is ready to release 0.2.0, and has released 0.1.0."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(_ROOT / "deploy/release.py", tmp_path / "deploy")
    (tmp_path / "CHANGELOG.md").write_text(_CHANGELOG)
    _git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    _commit(tmp_path)
    _git(tmp_path, "tag", "v0.1.0")
    return tmp_path


@pytest.fixture
def release(repository: Path) -> Release:
    """A function that tries a release, without changing anything."""

    def try_release(version: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "deploy/release.py", version, "--dry-run", *options],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )

    return try_release


def _git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    return subprocess.run(
        [_GIT, *identity, *arguments], cwd=repository, check=True, capture_output=True, text=True
    ).stdout


def _commit(repository: Path) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", "Change")


def test_a_dry_run_names_every_step_and_changes_nothing(repository: Path, release: Release) -> None:
    done = release("0.2.0", "--skip-proof")

    assert done.returncode == 0, done.stderr
    assert "proof: skipped (SKIP_PROOF=1)" in done.stdout
    assert "tag v0.2.0: would run" in done.stdout
    assert _git(repository, "status", "--porcelain") == ""
    assert _git(repository, "tag").split() == ["v0.1.0"]


def test_a_release_whose_section_has_its_date_already_can_be_continued(
    repository: Path, release: Release
) -> None:
    dated = _CHANGELOG.replace("## 0.2.0\n", "## 0.2.0 - 2026-01-05\n")
    (repository / "CHANGELOG.md").write_text(dated)
    _commit(repository)

    assert release("0.2.0").returncode == 0


def test_without_tests_there_is_no_proof_either(release: Release) -> None:
    done = release("0.2.0", "--skip-tests")

    assert "tests: skipped (SKIP_TESTS=1)" in done.stdout
    assert "proof: skipped (SKIP_TESTS=1)" in done.stdout


@pytest.mark.parametrize(
    ("version", "problem", "advice"),
    [
        ("", "'' is no version", "name one: make release VERSION="),
        ("0.2", "'0.2' is no version", "name one: make release VERSION="),
        ("0.1.0", "0.1.0 is released already", "choose a higher version"),
        ("0.0.9", "0.1.0 is released already", "choose a higher version"),
        ("0.3.0", "CHANGELOG.md says nothing about 0.3.0", "write a section `## 0.3.0`"),
    ],
)
def test_a_version_that_cannot_be_released_is_refused(
    release: Release, version: str, problem: str, advice: str
) -> None:
    done = release(version)

    assert done.returncode == 1
    assert f"not released: {problem}" in done.stderr
    assert f"to go on: {advice}" in done.stderr


def test_another_branch_is_refused(repository: Path, release: Release) -> None:
    _git(repository, "switch", "--quiet", "--create", "next")

    assert "this is next, not main\nto go on: git switch main" in release("0.2.0").stderr


def test_changes_that_are_not_committed_are_listed(repository: Path, release: Release) -> None:
    (repository / "draft.txt").touch()

    assert "not clean:\n?? draft.txt" in release("0.2.0").stderr


def test_entries_that_no_section_of_a_release_has_are_refused(
    repository: Path, release: Release
) -> None:
    changed = _CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n### Fixed\n\n- A bug.\n")
    (repository / "CHANGELOG.md").write_text(changed)
    _commit(repository)

    assert "move them to `## 0.2.0`" in release("0.2.0").stderr
