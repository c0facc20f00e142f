"""Ports of a stack: none is given out twice, and no other process is taken for a component."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuze_devstack import ports
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import ManagedProcess
from fuze_devstack.topology import StackDefinition


def test_a_free_port_is_not_given_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ports.free()
    monkeypatch.setattr(ports, "_FREE_RANGE", [*first.values(), *range(14100, 14102 + len(first))])

    second = Ports.free()

    assert not set(second.values()) & set(first.values())


class _AlwaysReady(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def other_service() -> Iterator[int]:
    """Return the port of a service that answers each request with 200."""
    port = Ports.free().sandbox
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), _AlwaysReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield port
        server.shutdown()


async def test_a_component_is_not_ready_because_another_service_answers_at_its_port(
    other_service: int, tmp_path: Path
) -> None:
    free = Ports(**(dict(Ports.free()) | {"sandbox": other_service}))
    (sandbox,) = (
        one for one in StackDefinition(tmp_path, free).infrastructure() if one.name == "sandbox"
    )
    process = ManagedProcess(sandbox, tmp_path)

    with pytest.raises(StackError, match=r"(?i)address already in use"):
        await process.start()

    assert not process.is_running
