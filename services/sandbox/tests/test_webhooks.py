"""Webhooks: signed, and retried until they are received."""

import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

import pytest

from fuze_sandbox.webhooks import WebhookEndpoint

Received = tuple[str, bytes]


class Receiver(HTTPServer):
    """Responds with 500 to the first request, and with 204 to the others."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: Queue[Received] = Queue()
        self.responses = [500]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((self.headers["Test-Signature"], body))
        self.send_response(self.server.responses.pop() if self.server.responses else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_event_is_signed_and_sent_again_after_an_error(receiver: Receiver) -> None:
    endpoint = WebhookEndpoint(
        f"http://127.0.0.1:{receiver.server_port}", "a-secret", "Test-Signature"
    )

    endpoint.send("parcel.delivered", shipment_id="a-shipment")

    _, first = receiver.received.get(timeout=10)
    signature, body = receiver.received.get(timeout=10)
    timestamp, digest = (part.partition("=")[2] for part in signature.split(","))
    expected = hmac.new(b"a-secret", f"{timestamp}.".encode() + body, "sha256").hexdigest()
    assert digest == expected
    event = json.loads(body)
    assert (event["type"], event["shipment_id"]) == ("parcel.delivered", "a-shipment")
    assert first == body
