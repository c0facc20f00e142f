"""Make a release: `make release VERSION=0.1.0`; the guide is docs/how-to/release.md.

After a failure, run the same command again: what is done already is found done. Nothing leaves this
machine. Only the standard library: `.venv` is made again while this runs.
"""

import argparse
import datetime as dt
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LOGS = _ROOT / ".fuze/release"
_PYTHON = _ROOT / ".venv/bin/python"
_CHANGELOG = _ROOT / "CHANGELOG.md"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_PIN = re.compile(r'^( *"fuze-[a-z]+(?:\[[a-z]+\])?)==[\d.]+(",)', re.MULTILINE)
_SHOWN_LINES = 20
_REPAIR = "repair it on main, commit, and run the same command again"


class ReleaseError(Exception):
    """The release stops; the message says what is wrong, `advice` what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Step:
    """A step by its name, which is shown; one with `skipped`, the reason, does not run."""

    name: str
    run: Callable[[], None]
    skipped: str = ""


def main() -> None:
    """Check, prepare and make the release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="such as 0.1.0")
    parser.add_argument("--dry-run", action="store_true", help="check, and say what would be done")
    parser.add_argument("--skip-tests", action="store_true", help="neither tests nor proof")
    parser.add_argument("--skip-proof", action="store_true")
    options = parser.parse_args()
    try:
        check_preconditions(options.version)
        print(f"ready to release {options.version} from main", flush=True)
        steps = _list_steps(options)
        for number, step in enumerate(steps, 1):
            _run_step(f"[{number:2}/{len(steps)}] {step.name}", step, dry_run=options.dry_run)
    except ReleaseError as error:
        raise SystemExit(f"not released: {error}\nto go on: {error.advice}") from None
    print("dry run: nothing was changed" if options.dry_run else _how_to_publish(options.version))


def check_preconditions(version: str) -> None:
    """Refuse what the steps would find late.

    Raises:
        ReleaseError: the version, the branch, the working tree or the changelog is not ready.

    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version", "name one: make release VERSION=0.1.0")
    last = max((_parse(tag[1:]) for tag in _git("tag", "--list", "v*.*.*").split()), default=(0,))
    if _parse(version) <= last:
        raise ReleaseError(
            f"{'.'.join(map(str, last))} is released already",
            "choose a higher version; or, if it was never pushed, delete its tag: git tag --delete",
        )
    branch = _git("branch", "--show-current")
    if branch != "main":
        raise ReleaseError(f"this is {branch or 'no branch'}, not main", "git switch main")
    if changes := _git("status", "--porcelain"):
        raise ReleaseError(f"the working tree is not clean:\n{changes}", "commit or remove these")
    if not read_section(version):
        raise ReleaseError(
            f"CHANGELOG.md says nothing about {version}",
            f"write a section `## {version}`, with the entries of `## Unreleased`",
        )
    if re.search(r"^- ", read_section("Unreleased"), re.MULTILINE):
        raise ReleaseError(
            "CHANGELOG.md has entries under `## Unreleased`", f"move them to `## {version}`"
        )


def read_section(name: str) -> str:
    """Return the text of a section of the changelog, without its heading."""
    heading = rf"^## {re.escape(name)}(?: - [^\n]*)?\n"
    section = re.compile(rf"{heading}(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    found = section.search(_CHANGELOG.read_text())
    return found[1].strip() if found else ""


def _list_steps(options: argparse.Namespace) -> list[Step]:
    version: str = options.version
    no_tests = "SKIP_TESTS=1" if options.skip_tests else ""
    no_proof = no_tests or ("SKIP_PROOF=1" if options.skip_proof else "")
    docker = shutil.which("docker")
    has_docker = docker and _succeeds(docker, "info")
    untested = ", ".join(
        name for name, skipped in (("tests", no_tests), ("proof", no_proof)) if skipped
    )
    return [
        Step("compatibility with the last release", lambda: _check_compatibility(version)),
        Step("version, frozen files, commit", lambda: prepare(version)),
        Step("locks", _check_locks),
        *(Step(name, partial(_make, name)) for name in ("lint", "types", "imports")),
        Step("tests", lambda: _make("tests"), no_tests),
        Step("proof", lambda: _make("proof"), no_proof),
        Step("wheels", lambda: _build_wheels(version)),
        Step("images", lambda: _build_images(version), "" if has_docker else "no Docker engine"),
        Step("bills of materials", lambda: _make("sbom")),
        Step(f"tag v{version}", lambda: _tag(version, untested)),
    ]


def _run_step(title: str, step: Step, *, dry_run: bool) -> None:
    if step.skipped:
        print(f"{title}: skipped ({step.skipped})", flush=True)
    elif dry_run:
        print(f"{title}: would run", flush=True)
    else:
        print(f"{title} …", flush=True)
        began_at = time.monotonic()
        step.run()
        print(f"{'':8}done in {time.monotonic() - began_at:.0f} s", flush=True)


def _check_compatibility(version: str) -> None:
    """Compare with the release before, not with what an attempt to make this one has frozen."""
    _make("setup")
    with _restored_on_failure():
        shutil.rmtree(_ROOT / "releases" / version, ignore_errors=True)
        _call("compatibility", _PYTHON, "-m", "pytest", "-q", "tests-e2e/test_last_release.py")


@contextmanager
def _restored_on_failure() -> Iterator[None]:
    """Restore the working tree, which was clean, when the block fails."""
    try:
        yield
    except BaseException:
        _git("restore", "--staged", "--worktree", ".")
        _git("clean", "--force", "-d", "--quiet", "releases")
        raise


@_restored_on_failure()
def prepare(version: str) -> None:
    """Write the version and the folder of the release, and commit them unless that is done."""
    for path in _list_packages():
        if _read_version(path) != version:
            command = (_ROOT / ".venv/bin/uv", "version", version, "--frozen", "--project", path)
            _call("version", *command)
        project = path / "pyproject.toml"
        project.write_text(_PIN.sub(rf"\g<1>=={version}\g<2>", project.read_text()))
    for path in (_ROOT / "deploy/kubernetes/overlays").glob("*/kustomization.yaml"):
        path.write_text(re.sub(r"newTag: [\d.]+", f"newTag: {version}", path.read_text()))
    today = dt.datetime.now(dt.UTC).date()
    undated = re.compile(rf"^## {re.escape(version)}$", re.MULTILINE)
    _CHANGELOG.write_text(undated.sub(f"## {version} - {today}", _CHANGELOG.read_text()))
    for target in ("setup", "services", "openapi"):
        _make(target)
    _call("freeze", _PYTHON, "-m", "fuze_testing.releases", version)
    if _git("status", "--porcelain"):
        _git("add", "--all")
        _call("commit", "git", "commit", "--message", f"Release {version}")


def _check_locks() -> None:
    _make("lock")
    if stale := _git("status", "--porcelain"):
        raise ReleaseError(
            f"the locks do not fit the pyproject files; `make lock` has changed:\n{stale}",
            "review and commit them, and run the same command again",
        )


def _build_wheels(version: str) -> None:
    for old in (_ROOT / "dist").glob("*.whl"):
        old.unlink()
    build = (
        _ROOT / ".venv/bin/uv",
        "build",
        "--wheel",
        "--no-build-isolation",
        "--python",
        _PYTHON,
    )
    for path in _list_packages():
        _call("wheels", *build, "--out-dir", _ROOT / "dist", path)
        name = f"fuze_{path.name}-{version}-py3-none-any.whl"
        if not (_ROOT / "dist" / name).exists():
            raise ReleaseError(f"{path} has made no dist/{name}", "see .fuze/release/wheels.log")


def _build_images(version: str) -> None:
    _make("images")
    for path in (_ROOT / "services").glob("*/pyproject.toml"):
        image = f"fuze-{path.parent.name}"
        _call("images", "docker", "tag", image, f"{image}:{version}")


def _tag(version: str, untested: str) -> None:
    notes = f"Fuze {version}\n\n{read_section(version)}\n"
    if untested:
        notes += f"\nNot run for this release: {untested}.\n"
    command = ("git", "tag", "--annotate", "--cleanup=verbatim", f"v{version}")
    _call("tag", *command, "--message", notes)


def _how_to_publish(version: str) -> str:
    return f"""
Fuze {version} is tagged v{version}. Nothing has left this machine. To publish it:
  git push origin main v{version}
  UV_PUBLISH_URL=… .venv/bin/uv publish dist/*.whl
  docker push …/fuze-order:{version}      # each image, after `docker tag` with your registry
dist/sbom has the bill of materials of each image."""


def _list_packages() -> list[Path]:
    return sorted(path.parent for path in _ROOT.glob("*/*/pyproject.toml"))


def _read_version(package: Path) -> str:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _make(target: str) -> None:
    _call(target, "make", "--no-print-directory", target)


def _call(name: str, *command: str | Path) -> None:
    """Run a command with its output in a log; on failure, show the end of it."""
    _LOGS.mkdir(parents=True, exist_ok=True)
    path = _LOGS / f"{name}.log"
    with path.open("w") as log:
        done = subprocess.run(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        lines = path.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
        raise ReleaseError(f"{name} failed; all of its output is in {path}", _REPAIR)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"git {' '.join(arguments)}: {done.stderr.strip()}", _REPAIR)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
