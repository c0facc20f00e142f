"""A real HTTP server whose responses a test writes down, in order."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Response:
    """What the server sends; `is_broken` closes the connection without a response."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    is_broken: bool = False


@dataclass
class Request:
    """What the server received; the names of `headers` are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class ScriptedServer(ThreadingHTTPServer):
    """Sends the responses one after another, and keeps the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: list[Response] = []
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def respond(self, *responses: Response) -> None:
        self.responses += responses


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(content) if content else None
        self.server.requests.append(Request(self.command, self.path, headers, body))
        response = self.server.responses.pop(0)
        self.close_connection = True
        if response.is_broken:
            return
        is_text = isinstance(response.body, str)
        content = response.body.encode() if is_text else json.dumps(response.body).encode()
        self.send_response(response.status)
        self.send_header("Connection", "close")
        for name, value in ({"Content-Type": "application/json"} | response.headers).items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header(
                "Content-Length", response.headers.get("Content-Length", str(len(content)))
            )
            self.end_headers()
            self.wfile.write(content)
        else:
            self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - the names of the base class

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a server; every response must have been sent at the end."""
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    assert not server.responses


def problem(code: str, status: int, **members: Any) -> Response:  # noqa: ANN401 - JSON
    """Return a problem as the gateway sends it."""
    body = {
        "type": f"/problems/{code}",
        "title": code,
        "status": status,
        "detail": f"It is {code}.",
    }
    return Response(status, body | members, {"Content-Type": "application/problem+json"})
