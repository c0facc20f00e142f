"""Requests that the API's description allows, and others that it forbids, made by Schemathesis.

`make fuzz` sends more than five thousand.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack_client import StackClient

from fuze_testing import unmeasured_environment

_SETTINGS = {
    "FUZE_RATE_LIMIT": "1000000/second",
    "FUZE_FAILED_AUTHENTICATION_LIMIT": "1000000/second",
    "FUZE_WEBHOOK_RATE_LIMIT": "1000000/second",
    "FUZE_STRIPE_WEBHOOK_SECRET": "whsec_of_this_test",  # every webhook endpoint is configured
}
_EXAMPLES = int(os.environ.get("FUZE_FUZZ_EXAMPLES", "5"))
_MIN_CASES = int(os.environ.get("FUZE_FUZZ_MIN_CASES", "100"))
_PHASES = os.environ.get("FUZE_FUZZ_PHASES", "examples,fuzzing")


@pytest.fixture
def authenticated_stack(tmp_path: Path, fuze: list[str]) -> Iterator[StackClient]:
    """Return a stack that requires an API key, as the API's description says."""
    stack = StackClient(tmp_path / "stack", fuze, _SETTINGS, is_measured=False)
    stack.start("--auth")
    yield stack
    stack.stop()
    stack.http.close()


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_no_request_gets_a_server_error_or_an_undocumented_response(
    authenticated_stack: StackClient, tmp_path: Path
) -> None:
    gateway = authenticated_stack.connection_info["gateway"]
    description = f"{gateway['url']}/openapi.json"
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
            *(str(Path(__file__).with_name("schemathesis.toml")), "run"),
            *(description, "--checks", "all"),
            *("--header", f"Authorization: Bearer {gateway['api_key']}"),
            *("--phases", _PHASES),
            *("--max-examples", str(_EXAMPLES), "--continue-on-failure"),
            *("--suppress-health-check", "all", "--no-color"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    print(done.stdout[-2000:])  # `make fuzz` shows how many there were
    operations = _count_operations(authenticated_stack.http.get(description).json())
    assert f"{operations} selected / {operations} total" in done.stdout
    assert _count_cases(done.stdout) >= _MIN_CASES
    assert json.loads(report.read_text())


def _count_operations(description: dict[str, dict[str, dict[str, object]]]) -> int:
    return sum(len(methods) for methods in description["paths"].values())


def _count_cases(output: str) -> int:
    [line] = [line for line in output.splitlines() if " generated, " in line]
    return int(line.split()[0])
