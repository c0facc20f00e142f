"""A webhook receiver, a process of its own: `python -m fuze_chaos.endpoints.receiver`.

It writes a line for each request before it responds. `PUT /behaviour` changes how it responds.
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_POLL_SECONDS = 0.05
_SLOW_SECONDS = 0.5
_GARBAGE = bytes(range(256)) * 40


class Behaviour(StrEnum):
    """How a receiver responds."""

    ACCEPT = "accept"
    """200."""
    HANG = "hang"
    """No response until the behaviour changes; then the connection is closed."""
    LIE = "lie"
    """What was recorded gets a 500, or a redirect, or no HTTP; or a 200 with garbage or slowly."""
    FORGET = "forget"
    """200, and the message is lost."""
    GONE = "gone"
    """410."""


_LIES = ("error", "redirect", "no HTTP", "garbage", "slow")
_STATUSES = {
    "accept": 200, "forget": 200, "gone": 410,
    "error": 500, "redirect": 307, "garbage": 200, "slow": 200,
}  # fmt: skip
"""The status of each response that has one."""


@dataclass(frozen=True)
class ReceiverConfig:
    """What a receiver is started with: its name, its port, its record, and its endpoint."""

    name: str
    port: int
    record: str
    endpoint_id: str
    secret: str


class Receiver(ThreadingHTTPServer):
    """The server. A response and its line are decided together, one request after another."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, config: ReceiverConfig) -> None:
        super().__init__(("127.0.0.1", config.port), _Handler)
        self.behaviour = Behaviour.ACCEPT
        self._config = config
        self._file = os.open(config.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._lies = itertools.cycle(_LIES)

    def change(self, behaviour: Behaviour) -> None:
        """Change the behaviour: a request that is recorded later is responded to by this one."""
        with self._lock:
            self.behaviour = behaviour

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> str:
        """Record a request, and return how to respond."""
        with self._lock:
            behaviour = self.behaviour
            response = next(self._lies) if behaviour is Behaviour.LIE else behaviour.value
            data = json.loads(body)["data"]
            line = {
                "at": time.time(),
                "endpoint": self._config.name,
                "endpoint_id": self._config.endpoint_id,
                "path": path,
                "message_id": headers["webhook-id"],
                "order_id": data.get("order_id"),
                "seq": data.get("seq"),
                "type": data.get("type"),
                "is_signed": is_signed(self._config.secret, headers, body),
                "response": response,
                "status": _STATUSES.get(response),
                "is_forgotten": behaviour is Behaviour.FORGET,
            }
            os.write(self._file, json.dumps(line).encode() + b"\n")  # whole, even if it is killed
        return response


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is that of Standard Webhooks with this secret.

    The time is not compared: the sender's clock may be wrong because of a fault.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"v1,{digest}" in headers["webhook-signature"].split(" ")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_PUT(self) -> None:
        self.server.change(Behaviour(self._read().decode()))
        self._respond(HTTPStatus.NO_CONTENT, {})

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.receive(self.path, headers, self._read())
        match response:
            case "hang":
                while self.server.behaviour is Behaviour.HANG:
                    time.sleep(_POLL_SECONDS)
                self.close_connection = True
            case "no HTTP":
                self.wfile.write(_GARBAGE)
                self.close_connection = True
            case "redirect":
                self._respond(307, {"Location": "/elsewhere", "Content-Length": "0"})
            case "garbage":
                self._respond(200, {"Content-Length": str(len(_GARBAGE))}, _GARBAGE)
            case "slow":
                self._respond(200, {"Content-Length": "100000"}, b"a")
                while self.server.behaviour is Behaviour.LIE:
                    time.sleep(_SLOW_SECONDS)
                    self.wfile.write(b"a")
                self.close_connection = True
            case _:
                self._respond(_STATUSES[response], {"Content-Length": "0"})

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def _respond(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(OSError):  # the sender has closed the connection
            super().handle()

    def log_message(self, *_: object) -> None:
        """Log nothing: the record has it."""


if __name__ == "__main__":
    receiver = Receiver(ReceiverConfig(**json.loads(Path(sys.argv[1]).read_text())))
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the run ends, however it ends
