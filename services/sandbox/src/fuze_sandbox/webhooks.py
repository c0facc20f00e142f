"""Webhooks of the sandbox: signed, and retried with backoff until they are received."""

import hmac
import json
import threading
import time
import uuid
from dataclasses import dataclass

import httpx

_MAX_ATTEMPTS = 5
_INITIAL_BACKOFF_SECONDS = 0.5
_TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class WebhookEndpoint:
    """Where events are sent, the secret that signs them, and the signature's header."""

    url: str
    secret: str
    signature_header: str

    def send(self, event_type: str, **fields: str) -> None:
        """Send an event in the background, at most five times."""
        event = {"id": f"evt_{uuid.uuid4().hex}", "type": event_type, **fields}
        body = json.dumps(event).encode()
        threading.Thread(target=self._deliver, args=[body], daemon=True).start()

    def _deliver(self, body: bytes) -> None:
        for attempt in range(_MAX_ATTEMPTS):
            try:
                response = httpx.post(
                    self.url,
                    content=body,
                    headers=self._headers(body),
                    timeout=_TIMEOUT_SECONDS,
                    trust_env=False,
                )
            except httpx.HTTPError:
                pass
            else:
                if response.is_success:
                    return
            time.sleep(_INITIAL_BACKOFF_SECONDS * 2**attempt)

    def _headers(self, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        payload = f"{timestamp}.".encode() + body
        digest = hmac.new(self.secret.encode(), payload, "sha256").hexdigest()
        return {
            self.signature_header: f"t={timestamp},v1={digest}",
            "Content-Type": "application/json",
        }
