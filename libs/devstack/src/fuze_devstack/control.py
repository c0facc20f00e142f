"""Commands to a running stack, over a Unix socket: one JSON line each way."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from fuze_devstack.errors import StackError

_RESPONSE_TIMEOUT_SECONDS = 120.0


class Command(BaseModel):
    """A command. `number` is the signal that `kill` sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["restart", "kill", "stop"]
    component: str = ""
    number: signal.Signals = signal.SIGKILL


class Controllable(Protocol):
    """The operations of a stack that other processes can request."""

    async def restart(self, name: str) -> None:
        """Stop a component if it runs, and start it again."""

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a component a signal."""


class ControlServer:
    """Serves commands on a Unix socket that only the user of the stack can open."""

    def __init__(self, path: Path, stack: Controllable) -> None:
        self.path = path
        self.stop_requested = asyncio.Event()
        self._stack = stack
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start listening."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            response = await self._execute(await reader.readline())
            writer.write(json.dumps(response).encode() + b"\n")
            await writer.drain()
        finally:
            writer.close()

    async def _execute(self, line: bytes) -> dict[str, str | None]:
        try:
            command = Command.model_validate_json(line)
            match command.name:
                case "restart":
                    await self._stack.restart(command.component)
                case "kill":
                    self._stack.kill(command.component, command.number)
                case "stop":
                    self.stop_requested.set()
        except (StackError, ValidationError) as error:
            return {"error": str(error)}
        return {"error": None}


async def send_command(control: Path, command: Command) -> None:
    """Send a command to the stack that listens at `control`, and wait until it is done.

    Raises:
        StackError: the command failed, or the stack does not respond.

    """
    try:
        async with asyncio.timeout(_RESPONSE_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(control)
            writer.write(command.model_dump_json().encode() + b"\n")
            response = json.loads(await reader.readline())
            writer.close()
    except (OSError, TimeoutError, json.JSONDecodeError) as error:
        raise StackError(
            f"the stack does not respond at {control}: {error!r}; see its log: up.log"
        ) from None
    if response["error"]:
        raise StackError(response["error"])
