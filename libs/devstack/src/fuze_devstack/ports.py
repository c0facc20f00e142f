"""The ports of a stack, all on 127.0.0.1."""

import contextlib
import secrets
import socket

from pydantic import BaseModel, ConfigDict, Field

_UNASKED = range(15000, 32000)
"""Ports that no usual kernel gives to a connection by itself, so that a free one stays free."""


class Ports(BaseModel):
    """One port a listener; the defaults are what the documentation and the examples say."""

    model_config = ConfigDict(frozen=True)

    gateway: int = Field(8000, ge=1, le=65535)
    postgres: int = Field(5432, ge=1, le=65535)
    temporal: int = Field(7233, ge=1, le=65535)
    ui: int = Field(8233, ge=1, le=65535)
    sandbox: int = Field(8090, ge=1, le=65535)
    order: int = Field(8081, ge=1, le=65535)
    payment: int = Field(8082, ge=1, le=65535)
    shipping: int = Field(8083, ge=1, le=65535)

    @classmethod
    def free(cls) -> "Ports":
        """Return ports that nobody listens on now."""
        with contextlib.ExitStack() as stack:
            # All are held until all are found, so that none comes twice.
            found = {name: _bind_any(stack) for name in cls.model_fields}
        return cls(**found)

    def taken(self) -> dict[str, int]:
        """Return those that somebody listens on."""
        taken = {}
        for name, port in self.model_dump().items():
            with contextlib.ExitStack() as stack:
                try:
                    _bind(stack, port)
                except OSError:
                    taken[name] = port
        return taken


def _bind_any(stack: contextlib.ExitStack) -> int:
    while True:
        port = secrets.choice(_UNASKED)
        with contextlib.suppress(OSError):
            return _bind(stack, port)


def _bind(stack: contextlib.ExitStack, port: int) -> int:
    listener = stack.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    bound: int = listener.getsockname()[1]
    return bound
