"""How other processes ask a running stack for something: one JSON line each way."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from fuze_devstack.errors import StackError

_ANSWER_WITHIN_SECONDS = 120.0


class Request(BaseModel):
    """What is asked for. `number` is the signal to send; only `kill` has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["restart", "kill", "stop"]
    component: str = ""
    number: signal.Signals = signal.SIGKILL


class Controlled(Protocol):
    """What a stack lets others do."""

    async def restart(self, name: str) -> None:
        """Stop a component if it runs, and start it."""

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a component a signal."""


class ControlServer:
    """Listens on a Unix socket that only the stack's own user may use."""

    def __init__(self, path: Path, stack: Controlled) -> None:
        self.path = path
        self.stop_requested = asyncio.Event()
        self._stack = stack
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, str | None]:
        try:
            request = Request.model_validate_json(line)
            match request.do:
                case "restart":
                    await self._stack.restart(request.component)
                case "kill":
                    self._stack.kill(request.component, request.number)
                case "stop":
                    self.stop_requested.set()
        except (StackError, ValidationError) as error:
            return {"error": str(error)}
        return {"error": None}


async def send_command(control: Path, request: Request) -> None:
    """Ask the stack that listens at `control`.

    Raises:
        StackError: it refuses, or does not answer.

    """
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_SECONDS):
            reader, writer = await asyncio.open_unix_connection(control)
            writer.write(request.model_dump_json().encode() + b"\n")
            answer = json.loads(await reader.readline())
            writer.close()
    except (OSError, TimeoutError, json.JSONDecodeError) as error:
        raise StackError(f"the stack does not answer at {control}: {error!r}") from None
    if answer["error"]:
        raise StackError(answer["error"])
