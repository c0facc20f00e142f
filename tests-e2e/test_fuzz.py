"""The API under fire: whatever its description allows, and whatever it forbids.

`make test` sends about two thousand requests; `make fuzz` sends more than five thousand.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_stack import Stack

_EXAMPLES = int(os.environ.get("FUZE_FUZZ_EXAMPLES", "8"))
_AT_LEAST = int(os.environ.get("FUZE_FUZZ_AT_LEAST", "1500"))


@pytest.fixture
def closed_stack(
    tmp_path: Path, fuze: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """A stack that asks for a key, which is what the API's description says."""
    monkeypatch.setenv("FUZE_RATE_LIMIT", "1000000/second")
    stack = Stack(tmp_path / "stack", fuze)
    stack.run("up", "--auth", "--ports", "auto", "--detach")
    yield stack
    stack.run("down")
    stack.http.close()


@pytest.mark.timeout(900)
def test_no_request_meets_an_error_or_an_answer_that_is_not_documented(
    closed_stack: Stack, tmp_path: Path
) -> None:
    gateway = closed_stack.facts["gateway"]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
            *(str(Path(__file__).with_name("schemathesis.toml")), "run"),
            *(f"{gateway['url']}/openapi.json", "--checks", "all"),
            *("--header", f"Authorization: Bearer {gateway['api_key']}"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--max-examples", str(_EXAMPLES), "--continue-on-failure"),
            *("--suppress-health-check", "all", "--no-color"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    print(done.stdout[-2000:])  # `make fuzz` shows how many there were
    assert "31 selected / 31 total" in done.stdout
    assert _cases(done.stdout) >= _AT_LEAST
    assert json.loads(report.read_text())


def _cases(said: str) -> int:
    [line] = [line for line in said.splitlines() if " generated, " in line]
    return int(line.split()[0])
