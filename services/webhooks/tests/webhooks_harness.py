"""What the tests of the webhooks service share: orders with events, and endpoints."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from fuze_webhooks.delivery_repository import DeliveryPolicy, DeliveryRepository
from fuze_webhooks.messages import Attempt, Delivery, Endpoint

SECRET = f"whsec_{b64encode(b'0123456789abcdef01234567').decode()}"
OTHER_SECRET = f"whsec_{b64encode(b'76543210fedcba9876543210').decode()}"

POLICY = DeliveryPolicy(
    lease=timedelta(seconds=20),
    retry_delays=[timedelta(seconds=5), timedelta(minutes=5)],
    disable_after=timedelta(days=3),
)
REJECTED = Attempt(response_status=500, error="the endpoint responded 500")
ACCEPTED = Attempt(response_status=204)

_EVENT_TYPES = ("order_received", "order_validated", "order_approved", "payment_charged")


@dataclass(frozen=True)
class Database:
    """The database as its owner sees it."""

    connection: asyncpg.Connection

    async def insert_order(self, events: int = 2) -> UUID:
        """Insert an order with its first events, as the order service would."""
        order_id = uuid4()
        await self.connection.execute(
            "INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, currency,"
            " total_minor, payment_token, last_seq, approval_deadline, created_at, updated_at)"
            " VALUES ($1, 'run', 'none', 'approved', 'none', 'USD', 100, 'token', $2, now(), now(),"
            " now())",
            *(order_id, events),
        )
        for seq in range(1, events + 1):
            await insert_event(self.connection, order_id, seq)
        return order_id

    async def delete_events(self, order_id: UUID) -> None:
        """Delete what `archive` moves to a file."""
        await self.connection.execute("DELETE FROM orders.events WHERE order_id = $1", order_id)

    async def insert_endpoint(self, url: str, *event_types: str) -> UUID:
        """Insert an endpoint with a secret, as the gateway would."""
        endpoint_id = uuid4()
        await self.connection.execute(
            "INSERT INTO webhooks.endpoints (id, url, event_types) VALUES ($1, $2, $3)",
            *(endpoint_id, url, event_types),
        )
        await self.insert_secret(endpoint_id, SECRET)
        return endpoint_id

    async def insert_secret(
        self, endpoint_id: UUID, secret: str, expires_at: datetime | None = None
    ) -> None:
        await self.connection.execute(
            "INSERT INTO webhooks.secrets (endpoint_id, secret, expires_at) VALUES ($1, $2, $3)",
            *(endpoint_id, secret, expires_at),
        )

    async def update_endpoint(self, endpoint_id: UUID, assignment: str) -> None:
        await self.connection.execute(
            f"UPDATE webhooks.endpoints SET {assignment} WHERE id = $1",  # noqa: S608 - of a test
            endpoint_id,
        )

    async def read_endpoint(self, endpoint_id: UUID) -> dict[str, Any] | None:
        query = "SELECT * FROM webhooks.endpoints WHERE id = $1"
        row = await self.connection.fetchrow(query, endpoint_id)
        return dict(row) if row else None

    async def read_deliveries(self, endpoint_id: UUID) -> list[dict[str, Any]]:
        """Return the deliveries of an endpoint, in the order in which they were queued."""
        query = "SELECT * FROM webhooks.deliveries WHERE endpoint_id = $1 ORDER BY id"
        return [dict(row) for row in await self.connection.fetch(query, endpoint_id)]

    async def make_due(self, endpoint_id: UUID) -> None:
        """Let the delays and the leases of an endpoint's deliveries pass."""
        await self.connection.execute(
            "UPDATE webhooks.deliveries SET next_attempt_at = now(), lease_expires_at = now()"
            " WHERE endpoint_id = $1",
            endpoint_id,
        )


async def insert_event(connection: asyncpg.Connection, order_id: UUID, seq: int) -> None:
    await connection.execute(
        "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor, details,"
        " occurred_at) VALUES ($1, $2, $3, 'approved', 'none', 'ada', '{\"note\": \"ü\"}', $4)",
        *(order_id, seq, _EVENT_TYPES[(seq - 1) % 4], datetime(2026, 1, 5, 10, seq, tzinfo=UTC)),
    )


def build_endpoint(url: str, *secrets: str) -> Endpoint:
    return Endpoint(id=uuid4(), url=url, secrets=secrets or (SECRET,), has_more=False)


def build_delivery(**changes: Any) -> Delivery:  # noqa: ANN401 - the fields
    order_id = uuid4()
    time = datetime(2026, 1, 5, 10, tzinfo=UTC)
    fields: dict[str, Any] = {
        "id": 1,
        "endpoint_id": uuid4(),
        "message_id": f"evt_{order_id.hex}_1",
        "created_at": time,
        "attempt": 1,
        "attempted_at": datetime.now(UTC),
        "fencing_token": 1,
        "is_test": False,
        "event": {"order_id": order_id, "seq": 1, "type": "order_received", "occurred_at": time},
    }
    return Delivery(**fields | changes)


async def claim_and_record(
    repository: DeliveryRepository, endpoint_id: UUID, attempt: Attempt
) -> Delivery:
    """Make one attempt at the one message that is due."""
    [delivery] = await repository.claim(endpoint_id, 10)
    assert await repository.record(delivery, attempt)
    await repository.record_health(delivery, attempt)
    return delivery
