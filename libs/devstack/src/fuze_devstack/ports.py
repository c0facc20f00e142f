"""The ports of a stack, all on 127.0.0.1."""

import atexit
import contextlib
import secrets
import socket
from collections.abc import Iterator, Mapping

from fuze_devstack.services import SERVICES

_INFRASTRUCTURE = {"postgres": 5432, "temporal": 7233, "ui": 8233}
_DEFAULTS = _INFRASTRUCTURE | {service.name: service.port for service in SERVICES.values()}
_FREE_RANGE = range(15000, 32000)
"""Below the ephemeral ports of the usual kernels, so that no outgoing connection takes one."""

_reservations: list[socket.socket] = []
"""A UDP socket at each port that was given out: no other process is given it while this one runs.

The port itself has to be free for the process that will listen on it.
"""


class Ports(Mapping[str, int]):
    """The port of each listener by its name, also as an attribute: `ports.gateway`.

    The defaults are the registry's and those that the documentation shows.
    """

    def __init__(self, **chosen: int) -> None:
        self._ports = _DEFAULTS | chosen

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def __getattr__(self, name: str) -> int:
        if name not in _DEFAULTS:
            raise AttributeError(name)
        return self._ports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    @classmethod
    def free(cls) -> "Ports":
        """Return ports on which nothing listens, and which no other call returns.

        They are reserved until this process ends.
        """
        with contextlib.ExitStack() as stack:
            # All stay bound until all are found, so that they differ.
            found = {name: _bind_any(stack) for name in _DEFAULTS}
        return cls(**found)

    def taken(self) -> dict[str, int]:
        """Return the ports on which something listens."""
        taken = {}
        for name, port in self.items():
            with contextlib.ExitStack() as stack:
                try:
                    _bind(stack, port)
                except OSError:
                    taken[name] = port
        return taken


def find_free_port() -> int:
    """Return another port on which nothing listens, reserved until this process ends."""
    with contextlib.ExitStack() as stack:
        return _bind_any(stack)


def _bind_any(stack: contextlib.ExitStack) -> int:
    while True:
        port = secrets.choice(_FREE_RANGE)
        with contextlib.suppress(OSError):
            bound = _bind(stack, port)
            _reserve(port)
            return bound


def _reserve(port: int) -> None:
    reservation = socket.socket(type=socket.SOCK_DGRAM)
    atexit.register(reservation.close)
    try:
        reservation.bind(("127.0.0.1", port))
    except OSError:
        reservation.close()
        raise
    _reservations.append(reservation)


def _bind(stack: contextlib.ExitStack, port: int) -> int:
    listener = stack.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    bound: int = listener.getsockname()[1]
    return bound
