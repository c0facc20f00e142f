"""`fuze demo`, in a stack of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def odd_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the temporary folder of an environment with every known oddity at once."""
    temporary = tmp_path / "it's 100%41 größer? & #1"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.1")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    before = os.umask(0o077)
    yield temporary
    os.umask(before)


def test_the_demo_plays_six_orders_in_odd_surroundings_and_cleans_up(
    odd_surroundings: Path, fuze_of_unmeasured_services: list[str]
) -> None:
    command = [*fuze_of_unmeasured_services, "demo"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    output = demo.communicate()[0].decode()

    assert demo.returncode == 0, output
    assert output.count("as expected") == 6
    assert "return_refunded" in output
    assert "no process is left" in output
    assert not list(odd_surroundings.iterdir())
    # As root, the server runs as another user, from a copy of its programs.
    assert not list(Path("/var/tmp").glob(f"fuze-*-{demo.pid}"))  # noqa: S108 - only looked at
