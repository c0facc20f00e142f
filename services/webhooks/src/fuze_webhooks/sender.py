"""One attempt: a signed request, as Standard Webhooks describes it, and what it was answered.

A request has one time limit, follows no redirect, uses no proxy and reads the beginning of the
response.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from ssl import SSLContext
from typing import Any

import httpcore
from standardwebhooks.webhooks import Webhook

from fuze_contracts.webhooks import TEST_EVENT_TYPE, validate_webhook_url
from fuze_webhooks.address_guard import GuardedBackend, RefusedAddressError, Resolve
from fuze_webhooks.messages import Attempt, Delivery, Endpoint

_SUCCESS = range(200, 300)
_GONE = 410
_MAX_BODY_BYTES = 512
_MAX_ERROR_LENGTH = 200
_MAX_RETRY_AFTER_SECONDS = 86_400
_MAX_DIGITS = 1_000
_KEEP_ALIVE_SECONDS = 5
_USER_AGENT = f"fuze-webhooks/{version('fuze-webhooks')}"


class WebhookSender:
    """Sends messages. `allow_insecure` allows http and private addresses."""

    def __init__(
        self,
        resolve: Resolve,
        timeout: timedelta,
        *,
        allow_insecure: bool,
        ssl_context: SSLContext | None = None,
    ) -> None:
        self.timeout_seconds = timeout.total_seconds()
        self._allow_insecure = allow_insecure
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpcore.default_ssl_context(),
            max_connections=None,  # each endpoint limits its own
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
            network_backend=GuardedBackend(resolve, allow_private=allow_insecure),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def send(self, endpoint: Endpoint, delivery: Delivery, deadline: float) -> Attempt:
        """Make one attempt until the loop's time is `deadline`, and return what became of it."""
        if delivery.event is None and not delivery.is_test:
            return Attempt(error="the event exists no longer", is_final=True)
        try:
            validate_webhook_url(endpoint.url, allow_insecure=self._allow_insecure)
            body = build_body(delivery)
            headers = sign(endpoint.secrets, delivery.message_id, delivery.attempted_at, body)
            async with asyncio.timeout_at(deadline):
                return await self._post(endpoint.url, headers, body)
        except TimeoutError:
            error = f"no response within {self.timeout_seconds:g} s"
        except (RefusedAddressError, ValueError) as refusal:
            error = str(refusal)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it must not end the batch
            error = f"{type(failure).__name__}: {failure}"
        return Attempt(error=_to_text(error, _MAX_ERROR_LENGTH))

    async def _post(self, url: str, headers: Mapping[str, str], body: str) -> Attempt:
        raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = self._pool.stream("POST", url, headers=raw_headers, content=body.encode())
        async with request as response:
            excerpt = b""
            async for chunk in response.aiter_stream():
                excerpt += chunk
                if len(excerpt) >= _MAX_BODY_BYTES:
                    break
        status = response.status
        return Attempt(
            response_status=status,
            response_body=_to_text(excerpt.decode(errors="replace"), _MAX_BODY_BYTES),
            error=None if status in _SUCCESS else f"the endpoint responded {status}",
            retry_after=_parse_retry_after(response.headers),
            is_gone=status == _GONE,
        )


def build_body(delivery: Delivery) -> str:
    """Return the body: the same at each attempt."""
    if delivery.event is None:
        kind, timestamp, data = TEST_EVENT_TYPE, _to_rfc_3339(delivery.created_at), {}
    else:
        timestamp = _to_rfc_3339(delivery.event["occurred_at"])
        data = delivery.event | {
            "order_id": str(delivery.event["order_id"]),
            "occurred_at": timestamp,
        }
        kind = data["type"]
    content: dict[str, Any] = {"type": kind, "timestamp": timestamp, "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _to_rfc_3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sign(
    secrets: tuple[str, ...], message_id: str, timestamp: datetime, body: str
) -> dict[str, str]:
    """Return the headers of a request, with a signature for each secret.

    Raises:
        ValueError: there is no secret.

    """
    if not secrets:
        raise ValueError("the endpoint has no signing secret")
    signatures = [Webhook(secret).sign(message_id, timestamp, body) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": _USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(int(timestamp.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _parse_retry_after(headers: list[tuple[bytes, bytes]]) -> timedelta:
    """Return the seconds of `Retry-After`; as a date it is ignored."""
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit():
            # Python refuses to parse thousands of digits.
            seconds = int(value) if len(value) < _MAX_DIGITS else _MAX_RETRY_AFTER_SECONDS
            return timedelta(seconds=min(seconds, _MAX_RETRY_AFTER_SECONDS))
    return timedelta(0)


def _to_text(text: str, limit: int) -> str:
    """Return the beginning of a text, without what PostgreSQL or a terminal cannot show."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()
