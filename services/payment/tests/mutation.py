"""Mutation tests of the payment service: does a test fail when the code is changed?

`make mutation` runs it. It fails when fewer than `MIN_SCORE` percent of the mutants are killed, and
lists the others: `mutmut show NAME`, in services/payment, shows what was changed. The folder
`mutants` there keeps the results; only what changed since is run again.
"""

import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fuze_testing.postgres import SHARED, migrated_postgres

MIN_SCORE = 85
_KILLED = {"killed", "timeout", "segfault", "suspicious"}
_SERVICE = Path(__file__).parent.parent
_PSP_TESTS = _SERVICE.parent.parent / "libs/psp/tests"
_MUTMUT = Path(sys.executable).with_name("mutmut")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the private attribute that mutmut reads, and that pytest no longer has."""
    for item in items:
        item._nodeid = item.nodeid  # type: ignore[attr-defined] # mutmut reads it


def main() -> int:
    """Run all mutants against one PostgreSQL; return 1 where too few were killed."""
    with tempfile.TemporaryDirectory(prefix="fuze-mutation-") as folder:
        Path(folder).chmod(0o711)
        with migrated_postgres(Path(folder)) as server:
            environment = {
                **os.environ,
                SHARED: f"{folder}:{server.port}",
                "PYTHONPATH": f"{_SERVICE / 'tests'}{os.pathsep}{_PSP_TESTS}",
            }
            command = [_MUTMUT, "run", "--max-children", str(os.cpu_count() or 2)]
            if subprocess.run(command, cwd=_SERVICE, env=environment, check=False).returncode:
                return 1
    return _report()


def _report() -> int:
    command = [_MUTMUT, "results", "--all", "true"]
    listed = subprocess.run(command, cwd=_SERVICE, capture_output=True, text=True, check=True)
    results = dict(line.strip().split(": ") for line in listed.stdout.splitlines() if ": " in line)
    modules: dict[str, collections.Counter[bool]] = collections.defaultdict(collections.Counter)
    for mutant, result in results.items():
        modules[mutant.rpartition(".")[0]][result in _KILLED] += 1
        if result not in _KILLED:
            print(f"  {result}: {mutant}")
    for module, counts in sorted(modules.items()):
        print(f"{module:<36} {counts[True]:>4} of {counts.total():>4} mutants killed")
    killed = sum(counts[True] for counts in modules.values())
    score = 100 * killed / len(results)
    print(f"{killed} of {len(results)} mutants were killed: {score:.1f} %, {MIN_SCORE} % is enough")
    return 0 if score >= MIN_SCORE else 1


if __name__ == "__main__":
    sys.exit(main())
