"""Tickets: short-lived credentials in the URL of one order's event stream.

A browser's `EventSource` cannot send a header, and a key in a URL would be in logs and histories. A
ticket is signed (HMAC-SHA256) and stored nowhere, so every gateway of a deployment accepts it. It
can be used until it expires, because an `EventSource` reconnects to the same URL.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from uuid import UUID

from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import SecretStr
from starlette.types import Scope as Connection

from fuze_gateway.auth.principals import Principal, Scope, UnauthenticatedError

TICKET_PARAMETER = "ticket"
TICKET_LIFETIME = timedelta(minutes=1)
MAX_TICKETED_STREAM = timedelta(minutes=5)
"""A stream that was opened with a ticket ends after this time. The key may be revoked meanwhile."""

_STREAM_PATH = re.compile(r"/orders/([0-9A-Fa-f-]{36})/events/stream")


@dataclass(frozen=True, kw_only=True)
class StreamTicket:
    """A ticket, and when it expires."""

    text: str
    expires_at: datetime


class StreamTickets:
    """Issues and verifies tickets."""

    def __init__(self, signing_key: SecretStr) -> None:
        self._signer = URLSafeTimedSerializer(
            signing_key.get_secret_value(),
            salt="stream-ticket",
            signer_kwargs={"digest_method": hashlib.sha256},
        )

    def issue(self, principal: Principal, order_id: UUID) -> StreamTicket:
        """Return a ticket with which the principal can open the stream of the order."""
        text = self._signer.dumps(
            [order_id.hex, principal.name, principal.id, sorted(principal.scopes)]
        )
        expires_at = datetime.now(UTC).replace(microsecond=0) + TICKET_LIFETIME
        return StreamTicket(text=str(text), expires_at=expires_at)

    def authenticate(self, ticket: str, order_id: UUID) -> Principal:
        """Return the principal to whom a ticket was issued.

        Raises:
            UnauthenticatedError: the ticket is invalid, has expired, or is for another order.

        """
        try:
            ticket_order, name, caller, scopes = self._signer.loads(
                ticket, max_age=int(TICKET_LIFETIME.total_seconds())
            )
        except BadSignature:
            raise UnauthenticatedError(
                "The ticket is invalid or has expired. Get another one: POST"
                f" /orders/{order_id}/events/ticket."
            ) from None
        if ticket_order != order_id.hex:
            raise UnauthenticatedError("The ticket is for another order.")
        return Principal(name=name, id=caller, scopes=frozenset(Scope(scope) for scope in scopes))


def find_ticket(connection: Connection) -> tuple[str, UUID] | None:
    """Return the ticket in the URL of a request to an event stream, and the order's id."""
    if not connection["query_string"] or connection["method"] != "GET":
        return None
    path = _STREAM_PATH.fullmatch(connection["path"])
    found = parse_qs(connection["query_string"].decode("latin-1")).get(TICKET_PARAMETER)
    if path is None or not found:
        return None
    try:
        return found[0], UUID(path[1])
    except ValueError:  # the endpoint responds 422
        return None
