"""Check that a service can be deployed beside the version before it.

Each check prints one line, and one that fails the end of its output. The exit code is 1 then.
"""

import argparse
import io
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_mock_engine

from fuze_devstack.services import SERVICES, Service

_ROOT = Path(__file__).parents[1]
_TOOLS = _ROOT / ".venv/tools/bin"
_SHOWN_LINES = 25


@dataclass(frozen=True)
class Check:
    """A command that exits with 0 when all is well; without one, why it is left out."""

    name: str
    command: list[str] | None
    skipped: str = ""
    stdin: str = ""

    def run(self) -> bool:
        """Run it, print its line, and return whether it passed."""
        if self.command is None:
            print(f"skip  {self.name}: {self.skipped}")
            return True
        done = subprocess.run(
            self.command,
            cwd=_ROOT,
            input=self.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        passed = done.returncode == 0
        print(f"{'ok' if passed else 'FAIL':4}  {self.name}", flush=True)
        if not passed:
            print(f"      {shlex.join(self.command)}")
            print(textwrap.indent("\n".join(done.stdout.splitlines()[-_SHOWN_LINES:]), "      "))
        return passed


def main() -> None:
    """Run the checks of one service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=SERVICES, metavar="service")
    results = [check.run() for check in _checks(SERVICES[parser.parse_args().service])]
    raise SystemExit(not all(results))


def _checks(service: Service) -> Iterator[Check]:
    yield Check(
        "contracts: messages are read and written as in the golden files",
        _pytest("libs/contracts/tests/test_golden.py"),
    )
    yield Check(
        "release: tables, API and frozen files are compatible with the last one",
        _pytest("tests-e2e/test_last_release.py"),
    )
    replay = f"services/{service.name}/tests/test_replay.py"
    yield Check(
        "workflows: recorded histories replay",
        _pytest(replay) if (_ROOT / replay).exists() else None,
        "the service has none",
    )
    if service.schema:
        yield Check(
            "schema: the revisions lead to the tables in the code",
            _pytest("libs/devstack/tests/test_migrations.py", "-k", f"revision and {service.name}"),
        )
        for revision, sql in render_revisions(service.package):
            yield Check(
                f"schema: revision {revision} breaks or blocks no version that runs",
                [str(_TOOLS / "squawk"), "--config", "deploy/squawk.toml"],
                stdin=sql,
            )
    docker = shutil.which("docker")
    is_running = docker and subprocess.run([docker, "info"], capture_output=True, check=False)
    yield Check(
        "image: it builds, and the service can be imported in it",
        ["docker", "compose", "build", service.name]
        if is_running and is_running.returncode == 0
        else None,
        "no Docker engine",
    )


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def render_revisions(package: str) -> Iterator[tuple[str, str]]:
    """Yield each revision and its SQL, in their order.

    Each by itself: beside the one that creates a table, the table would pass for empty.
    """
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    script = ScriptDirectory.from_config(config)
    for revision in reversed(list(script.walk_revisions())):
        output = io.StringIO()
        engine = create_mock_engine("postgresql+asyncpg://", lambda *_: None)
        config.attributes["connection"], config.output_buffer = engine, output
        begin = revision.down_revision or "base"
        command.upgrade(config, f"{begin}:{revision.revision}", sql=True)
        yield revision.revision, output.getvalue()


if __name__ == "__main__":
    main()
