"""The command line, where no stack runs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fuze_client.cli.main import main
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import Passwords


@pytest.mark.parametrize("command", ["status", "down", "restart order", "kill order"])
def test_without_a_stack_a_command_says_how_to_start_one(tmp_path: Path, command: str) -> None:
    done = CliRunner().invoke(main, [*command.split(), "--state-dir", str(tmp_path)])

    assert done.exit_code == 1
    assert "no stack runs in" in done.output
    assert "fuze up" in done.output


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(main, ["--help"]).output

    for command in main.list_commands(click.Context(main)):
        assert f"\n  {command} " in output


def test_a_folder_that_holds_no_stack_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    done = CliRunner().invoke(main, ["reset", "--yes", "--state-dir", str(tmp_path)])

    assert done.exit_code == 1
    assert (tmp_path / "thesis.txt").exists()


def test_a_command_whose_output_has_no_reader_ends_without_an_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fuze_devstack", "reset", "--state-dir", str(tmp_path / "none")],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_state_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = CliRunner().invoke(
        main, ["up", "--ports", "auto", "--state-dir", str(tmp_path / "file" / "x")]
    )

    assert done.exit_code == 1
    assert str(tmp_path / "file" / "x") in done.output
    assert "--state-dir" in done.output


def test_the_state_folder_is_deleted_on_request(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    Passwords.load_or_create(state)

    done = CliRunner().invoke(main, ["reset", "--yes", "--state-dir", str(state)])

    assert done.exit_code == 0
    assert not state.exists()


def test_passwords_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    first = Passwords.load_or_create(tmp_path)

    assert Passwords.load_or_create(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0


def test_free_ports_are_all_different() -> None:
    ports = Ports.free()

    assert len(set(ports.values())) == len(ports)


def test_a_taken_port_is_found() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        assert Ports(**(dict(Ports.free()) | {"gateway": port})).taken() == {"gateway": port}
