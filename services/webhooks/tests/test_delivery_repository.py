"""Attempts in PostgreSQL: one at a time, in order per order, on schedule."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from webhooks_harness import ACCEPTED, POLICY, REJECTED, Database, claim_and_record

from fuze_webhooks.delivery_repository import DeliveryRepository
from fuze_webhooks.messages import Attempt
from fuze_webhooks.repository import EndpointRepository

EngineOf = Callable[[str], AsyncEngine]

_URL = "https://shop.example/webhooks"


@pytest.fixture
def repository(engine_of: EngineOf) -> DeliveryRepository:
    return DeliveryRepository(engine_of("webhooks"), POLICY)


Queue = Callable[..., Any]


@pytest.fixture
def queue(engine_of: EngineOf, database: Database) -> Queue:
    """Create an endpoint with the events of some orders in its queue."""
    endpoints = EndpointRepository(engine_of("webhooks"), timedelta(days=30))

    async def queued(*events: int) -> tuple[UUID, list[UUID]]:
        endpoint_id = await database.insert_endpoint(_URL)
        orders = [await database.insert_order(count) for count in events]
        await endpoints.queue_events(endpoint_id)
        return endpoint_id, orders

    return queued


async def test_the_first_waiting_event_of_each_order_is_claimed_with_its_content(
    repository: DeliveryRepository, queue: Queue
) -> None:
    endpoint_id, orders = await queue(2, 2)

    claimed = await repository.claim(endpoint_id, 10)

    assert {(one.event["order_id"], one.event["seq"]) for one in claimed if one.event} == {
        (order_id, 1) for order_id in orders
    }
    assert claimed[0].event == {
        "order_id": claimed[0].event["order_id"] if claimed[0].event else None,
        "seq": 1,
        "type": "order_received",
        "status": "approved",
        "payment_status": "none",
        "actor": "ada",
        "details": {"note": "ü"},
        "occurred_at": datetime(2026, 1, 5, 10, 1, tzinfo=UTC),
    }
    assert [one.attempt for one in claimed] == [1, 1]


async def test_concurrent_claims_share_no_message(
    repository: DeliveryRepository, queue: Queue
) -> None:
    endpoint_id, _ = await queue(*[1] * 12)

    claims = await asyncio.gather(*(repository.claim(endpoint_id, 5) for _ in range(4)))

    claimed = [one.id for claim in claims for one in claim]
    assert len(claimed) == len(set(claimed))
    assert max(len(claim) for claim in claims) == 5


async def test_the_next_event_of_an_order_is_claimed_once_the_one_before_is_delivered(
    repository: DeliveryRepository, queue: Queue
) -> None:
    endpoint_id, _ = await queue(3)

    attempts = [await claim_and_record(repository, endpoint_id, ACCEPTED) for _ in range(3)]

    assert [one.event["seq"] for one in attempts if one.event] == [1, 2, 3]
    assert await repository.claim(endpoint_id, 10) == []


async def test_a_failing_event_holds_back_its_own_order_alone(
    repository: DeliveryRepository, queue: Queue
) -> None:
    endpoint_id, [failing, other] = await queue(2, 2)
    for delivery in await repository.claim(endpoint_id, 10):
        assert delivery.event is not None
        fails = delivery.event["order_id"] == failing
        await repository.record(delivery, REJECTED if fails else ACCEPTED)

    claimed = await repository.claim(endpoint_id, 10)

    assert [(one.event["order_id"], one.event["seq"]) for one in claimed if one.event] == [
        (other, 2)
    ]


async def test_a_message_is_claimed_again_only_when_its_lease_has_expired(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)
    [first] = await repository.claim(endpoint_id, 10)
    meanwhile = await repository.claim(endpoint_id, 10)

    await database.make_due(endpoint_id)
    [second] = await repository.claim(endpoint_id, 10)

    assert meanwhile == []
    assert (second.id, second.attempt) == (first.id, 2)


async def test_the_result_of_an_attempt_whose_message_was_claimed_again_is_dropped(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)
    [first] = await repository.claim(endpoint_id, 10)
    await database.make_due(endpoint_id)
    [second] = await repository.claim(endpoint_id, 10)

    late = await repository.record(first, REJECTED)

    [row] = await database.read_deliveries(endpoint_id)
    assert not late
    assert row["error"] is None
    assert await repository.record(second, ACCEPTED)


async def test_a_failed_attempt_is_repeated_on_schedule_and_fails_after_the_last(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(2)
    states, delays = [], []
    for _ in range(3):
        await claim_and_record(repository, endpoint_id, REJECTED)
        row, _ = await database.read_deliveries(endpoint_id)
        states.append(row["state"])
        delays.append((row["next_attempt_at"] - row["last_attempted_at"]).total_seconds())
        await database.make_due(endpoint_id)

    assert states == ["pending", "pending", "failed"]
    assert 5 <= delays[0] < 6
    assert 300 <= delays[1] < 331
    assert await repository.claim(endpoint_id, 10) == []  # the next event of the order waits


@pytest.mark.parametrize("attempts", [2, 3], ids=["not the last attempt", "the last attempt"])
async def test_a_message_that_is_redelivered_during_an_attempt_that_fails_is_due(
    repository: DeliveryRepository, queue: Queue, database: Database, attempts: int
) -> None:
    endpoint_id, _ = await queue(1)
    for _ in range(attempts - 1):
        await claim_and_record(repository, endpoint_id, REJECTED)
        await database.make_due(endpoint_id)
    [delivery] = await repository.claim(endpoint_id, 10)
    await database.connection.execute(
        "UPDATE webhooks.deliveries SET state = 'pending', attempts = 0, next_attempt_at = now()"
        " WHERE endpoint_id = $1",
        endpoint_id,
    )

    await repository.record(delivery, REJECTED)

    [again] = await repository.claim(endpoint_id, 10)
    assert (again.message_id, again.attempt) == (delivery.message_id, 1)


async def test_the_next_attempt_respects_retry_after(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)
    busy = Attempt(response_status=503, error="busy", retry_after=timedelta(hours=1))

    await claim_and_record(repository, endpoint_id, busy)

    [row] = await database.read_deliveries(endpoint_id)
    assert row["next_attempt_at"] - row["last_attempted_at"] >= timedelta(hours=1)


async def test_an_attempt_that_is_final_is_not_repeated(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)

    await claim_and_record(repository, endpoint_id, Attempt(error="no event", is_final=True))

    [row] = await database.read_deliveries(endpoint_id)
    assert (row["state"], row["error"]) == ("failed", "no event")


async def test_an_endpoint_that_is_gone_is_disabled_and_its_messages_wait(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)

    await claim_and_record(repository, endpoint_id, Attempt(error="410", is_gone=True))

    endpoint = await database.read_endpoint(endpoint_id)
    [row] = await database.read_deliveries(endpoint_id)
    assert endpoint is not None
    assert (endpoint["is_enabled"], endpoint["disabled_reason"]) == (False, "gone")
    assert row["state"] == "pending"


async def test_a_410_from_before_the_endpoint_was_enabled_again_does_not_disable_it(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1)
    [delivery] = await repository.claim(endpoint_id, 10)
    await database.update_endpoint(endpoint_id, "is_enabled = true, updated_at = now()")

    await repository.record_health(delivery, Attempt(error="410", is_gone=True))

    endpoint = await database.read_endpoint(endpoint_id)
    assert endpoint is not None
    assert endpoint["is_enabled"]


@pytest.mark.parametrize(
    ("failing_for", "is_enabled"), [("2 days 23 hours", True), ("3 days 1 hour", False)]
)
async def test_an_endpoint_that_fails_for_days_is_disabled(
    repository: DeliveryRepository,
    queue: Queue,
    database: Database,
    failing_for: str,
    is_enabled: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    endpoint_id, _ = await queue(1)
    await database.update_endpoint(endpoint_id, f"failing_since = now() - interval '{failing_for}'")

    await claim_and_record(repository, endpoint_id, REJECTED)

    endpoint = await database.read_endpoint(endpoint_id)
    assert endpoint is not None
    assert endpoint["is_enabled"] is is_enabled
    assert endpoint["disabled_reason"] == (None if is_enabled else "failing")


async def test_an_endpoint_fails_since_the_first_failure_after_a_success(
    repository: DeliveryRepository, queue: Queue, database: Database
) -> None:
    endpoint_id, _ = await queue(1, 1, 1)
    seen = []
    for attempt in (REJECTED, REJECTED, ACCEPTED):
        [delivery] = await repository.claim(endpoint_id, 1)
        await repository.record(delivery, attempt)
        await repository.record_health(delivery, attempt)
        endpoint = await database.read_endpoint(endpoint_id)
        assert endpoint is not None
        seen.append(endpoint["failing_since"])

    assert seen[0] is not None
    assert seen[1] == seen[0]
    assert seen[2] is None
