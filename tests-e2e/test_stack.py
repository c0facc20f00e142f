"""The command `fuze`: what it starts, tells, refuses and leaves."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from running_stack import Stack

_KEYS = {
    "gateway": {"url", "pid", "log"},
    "order": {"pid", "log", "health"},
    "payment": {"pid", "log", "health"},
    "shipping": {"pid", "log", "health"},
    "postgres": {"dsn", "pid", "log"},
    "temporal": {"address", "ui", "pid", "log"},
    "sandbox": {"url", "pid", "log"},
    "supervisor": {"pid", "control"},
}


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, fuze: list[str]) -> Iterator[Stack]:
    """A stack to stop, start and kill; one for the whole file, each test leaves it running."""
    stack = Stack(tmp_path_factory.mktemp("own"), fuze)
    stack.run("up", "--ports", "auto", "--detach")
    yield stack
    if (stack.folder / "stack.json").exists():
        stack.run("down")
    stack.http.close()


def test_stack_json_says_what_outside_tools_need(stack: Stack) -> None:
    assert {name: set(facts) for name, facts in stack.facts.items()} == _KEYS
    assert (stack.folder / "stack.json").stat().st_mode & 0o077 == 0
    assert stack.get("/readyz").status_code == 200
    assert stack.http.get(stack.facts["temporal"]["ui"]).status_code == 200
    assert "ready" in stack.run("status")


def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    done = subprocess.run(
        [*stack.fuze, "up", "--ports", "auto", "--state-dir", str(stack.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "runs in" in done.stderr
    assert stack.get("/readyz").status_code == 200


def test_a_taken_port_is_named_with_what_to_do(stack: Stack, tmp_path: Path) -> None:
    port = stack.facts["gateway"]["url"].rsplit(":", 1)[1]
    done = subprocess.run(
        [
            *stack.fuze,
            "up",
            "--ports",
            "auto",
            "--gateway-port",
            port,
            "--state-dir",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{port} (gateway)" in done.stderr
    assert "--gateway-port" in done.stderr


def test_orders_in_flight_survive_a_restart_and_nothing_is_left_running(own_stack: Stack) -> None:
    order_id = own_stack.place()
    own_stack.wait_for(order_id, "awaiting_approval")
    processes = [psutil.Process(facts["pid"]) for facts in own_stack.facts.values()]
    family = {child.pid for one in processes for child in one.children(recursive=True)}

    own_stack.run("down")

    assert not [one for one in processes if one.is_running()]
    assert not [pid for pid in family if psutil.pid_exists(pid)]
    assert not (own_stack.folder / "stack.json").exists()

    own_stack.run("up", "--ports", "auto", "--detach")
    own_stack.approve(order_id)
    own_stack.wait_for(order_id, "shipped")


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_one_starts_on_its_ports(
    own_stack: Stack,
) -> None:
    facts = own_stack.facts
    processes = {name: psutil.Process(one["pid"]) for name, one in facts.items()}
    ports = [
        *("--gateway-port", facts["gateway"]["url"].rpartition(":")[2]),
        *("--postgres-port", facts["postgres"]["dsn"].rpartition(":")[2].partition("/")[0]),
        *("--temporal-port", facts["temporal"]["address"].rpartition(":")[2]),
    ]

    processes["supervisor"].kill()
    own_stack.run("up", "--ports", "auto", *ports, "--detach")

    assert not [name for name, one in processes.items() if one.is_running()]
    assert own_stack.get("/readyz").status_code == 200


def test_a_stack_that_starts_is_left_alone(own_stack: Stack) -> None:
    for command in (["reset", "--yes"], ["up", "--ports", "auto"]):
        done = subprocess.run(
            [*own_stack.fuze, *command, "--state-dir", str(own_stack.folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "runs in" in done.stderr
    assert own_stack.get("/readyz").status_code == 200


def test_two_restarts_at_once_leave_one_process(own_stack: Stack) -> None:
    restart = [*own_stack.fuze, "restart", "shipping", "--state-dir", str(own_stack.folder)]
    both = [subprocess.Popen(restart, stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [one.wait() for one in both] == [0, 0]
    supervisor = psutil.Process(own_stack.facts["supervisor"]["pid"])
    running = [one.pid for one in supervisor.children() if "fuze_shipping" in one.cmdline()]
    assert running == [own_stack.facts["shipping"]["pid"]]


@pytest.fixture
def odd_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What surprises programs, all at once; returns the temporary folder."""
    temporary = tmp_path / ("temporary" * 20)
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


def test_a_stack_runs_in_odd_surroundings_and_leaves_nothing_outside_of_its_folder(
    odd_surroundings: Path, tmp_path: Path, fuze: list[str]
) -> None:
    stack = Stack(tmp_path / ("it's 100%41 größer? & #1 " * 8).strip(), fuze)
    try:
        stack.run("up", "--ports", "auto", "--detach")
        outside = [Path(stack.facts["supervisor"]["control"])]
        if os.geteuid() == 0:  # the server runs as another user, from a copy of its programs
            outside.append(Path(psutil.Process(stack.facts["postgres"]["pid"]).exe()))
        order_id = stack.place()
        stack.wait_for(order_id, "awaiting_approval")
        stack.approve(order_id)
        stack.wait_for(order_id, "shipped")
        stack.run("restart", "postgres")
        stack.run("down")

        assert not [one for one in outside if one.exists()]
        assert not list(odd_surroundings.iterdir())
        assert set(tmp_path.iterdir()) == {stack.folder, odd_surroundings}
    finally:
        if (stack.folder / "stack.json").exists():
            stack.run("down")
        stack.http.close()


def test_the_demo_ends_well_and_shows_each_timeline(fuze: list[str]) -> None:
    done = subprocess.run([*fuze, "demo"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as expected") == 4
    assert "no process is left" in done.stdout
