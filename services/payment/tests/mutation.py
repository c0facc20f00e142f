"""Change the payment service's code in every small way, and see whether a test notices.

`make mutation` runs it. It fails when fewer than `ENOUGH` percent of the mutants are noticed, and
names the others: `mutmut show NAME`, in services/payment, shows what was changed. The folder
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

ENOUGH = 85
_NOTICED = {"killed", "timeout", "segfault", "suspicious"}
_SERVICE = Path(__file__).parent.parent
_PSP_TESTS = _SERVICE.parent.parent / "libs/psp/tests"
_MUTMUT = Path(sys.executable).with_name("mutmut")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give mutmut the private name of a test that it reads, and that pytest no longer has."""
    for item in items:
        item._nodeid = item.nodeid  # type: ignore[attr-defined] # put there for mutmut


def main() -> int:
    """Run all mutants over one PostgreSQL, and return 1 where too few were noticed."""
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
    return _judge()


def _judge() -> int:
    command = [_MUTMUT, "results", "--all", "true"]
    listed = subprocess.run(command, cwd=_SERVICE, capture_output=True, text=True, check=True)
    fates = dict(line.strip().split(": ") for line in listed.stdout.splitlines() if ": " in line)
    modules: dict[str, collections.Counter[bool]] = collections.defaultdict(collections.Counter)
    for mutant, fate in fates.items():
        modules[mutant.rpartition(".")[0]][fate in _NOTICED] += 1
        if fate not in _NOTICED:
            print(f"  {fate}: {mutant}")
    for module, counts in sorted(modules.items()):
        print(f"{module:<36} {counts[True]:>4} of {counts.total():>4} mutants noticed")
    noticed = sum(counts[True] for counts in modules.values())
    score = 100 * noticed / len(fates)
    print(f"{noticed} of {len(fates)} mutants were noticed: {score:.1f} %, {ENOUGH} % is enough")
    return 0 if score >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
