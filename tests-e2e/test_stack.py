"""The command `fuze`: what it starts, prints, refuses and leaves behind."""

import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
from stack_client import StackClient

from fuze_devstack.services import WORKERS

_KEYS = {
    "console": {"url", "pid", "log"},
    "gateway": {"url", "pid", "log"},
    **{worker.name: {"pid", "log", "health"} for worker in WORKERS},
    "postgres": {"dsn", "pid", "log"},
    "temporal": {"address", "ui", "pid", "log"},
    "sandbox": {"url", "pid", "log"},
    "supervisor": {"pid", "control"},
}


def test_stack_json_has_what_other_tools_need(stack: StackClient) -> None:
    assert {name: set(facts) for name, facts in stack.connection_info.items()} == _KEYS
    assert (stack.folder / "stack.json").stat().st_mode & 0o077 == 0
    assert stack.get("/readyz").status_code == 200
    assert stack.http.get(stack.connection_info["temporal"]["ui"]).status_code == 200
    assert "ready" in stack.run("status")


def test_a_second_stack_in_the_same_folder_is_refused(stack: StackClient) -> None:
    done = stack.try_to_run("up", "--ports", "auto")

    assert done.returncode == 1
    assert "runs in" in done.stderr
    assert stack.get("/readyz").status_code == 200


def test_a_taken_port_is_named_with_the_option_that_changes_it(
    stack: StackClient, tmp_path: Path
) -> None:
    port = stack.connection_info["gateway"]["url"].rsplit(":", 1)[1]

    done = StackClient(tmp_path, stack.fuze).try_to_run(
        "up", "--ports", "auto", "--gateway-port", port
    )

    assert done.returncode == 1
    assert f"{port} (gateway)" in done.stderr
    assert "--gateway-port" in done.stderr


def test_an_open_order_survives_a_killed_supervisor_whose_ports_can_be_used_again(
    stack: StackClient,
) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")
    facts = stack.connection_info
    processes = {name: psutil.Process(one["pid"]) for name, one in facts.items()}
    ports = [
        *("--gateway-port", facts["gateway"]["url"].rpartition(":")[2]),
        *("--postgres-port", facts["postgres"]["dsn"].rpartition(":")[2].partition("/")[0]),
        *("--temporal-port", facts["temporal"]["address"].rpartition(":")[2]),
    ]

    processes["supervisor"].kill()
    replace(stack, is_measured=False).start(*ports)  # which is quicker

    assert not [name for name, one in processes.items() if one.is_running()]
    stack.approve(order_id)
    stack.wait_for_status(order_id, "shipped")


def test_a_running_stack_is_neither_deleted_nor_started_again(stack: StackClient) -> None:
    for command in (["reset", "--yes"], ["up", "--ports", "auto"]):
        done = stack.try_to_run(*command)

        assert done.returncode == 1
        assert "runs in" in done.stderr
    assert stack.get("/readyz").status_code == 200


def test_two_concurrent_restarts_leave_one_process(stack: StackClient) -> None:
    restart = [*stack.fuze, "restart", "shipping", "--state-dir", str(stack.folder)]
    both = [subprocess.Popen(restart, stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [one.wait() for one in both] == [0, 0]
    supervisor = psutil.Process(stack.connection_info["supervisor"]["pid"])
    running = [one.pid for one in supervisor.children() if "fuze_shipping" in one.cmdline()]
    assert running == [stack.connection_info["shipping"]["pid"]]
