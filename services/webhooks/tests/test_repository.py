"""Queueing in PostgreSQL: each event once, in commit order, and none lost."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from webhooks_harness import (
    ACCEPTED,
    OTHER_SECRET,
    POLICY,
    SECRET,
    Database,
    claim_and_record,
    insert_event,
)

from fuze_contracts.read_models import (
    WEBHOOK_DELIVERIES_VIEW,
    WEBHOOK_ENDPOINTS_VIEW,
    PublishedWebhookDelivery,
    PublishedWebhookEndpoint,
)
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_webhooks import repository as queueing
from fuze_webhooks.delivery_repository import DeliveryRepository
from fuze_webhooks.repository import EndpointRepository

EngineOf = Callable[[str], AsyncEngine]

_URL = "https://shop.example/webhooks"


@pytest.fixture
def repository(engine_of: EngineOf) -> EndpointRepository:
    return EndpointRepository(engine_of("webhooks"), timedelta(days=30))


async def test_events_since_the_creation_of_the_endpoint_are_queued_in_order(
    repository: EndpointRepository, database: Database
) -> None:
    await database.insert_order()
    endpoint_id = await database.insert_endpoint(_URL)
    orders = [await database.insert_order() for _ in range(2)]

    endpoint = await repository.queue_events(endpoint_id)

    queued = await database.read_deliveries(endpoint_id)
    assert [(one["order_id"], one["seq"]) for one in queued] == [
        (order_id, seq) for order_id in orders for seq in (1, 2)
    ]
    assert queued[0]["message_id"] == f"evt_{orders[0].hex}_1"
    assert endpoint is not None
    assert (endpoint.url, endpoint.secrets, endpoint.has_more) == (_URL, (SECRET,), False)


async def test_an_event_that_commits_late_is_queued_and_nothing_before_it_is_skipped(
    repository: EndpointRepository, database: Database, postgres: EmbeddedPostgres
) -> None:
    order_id = await database.insert_order()
    endpoint_id = await database.insert_endpoint(_URL)
    slow = await asyncpg.connect(postgres.dsn)
    transaction = slow.transaction()
    await transaction.start()
    await insert_event(slow, order_id, 3)
    later = await database.insert_order(1)
    await repository.queue_events(endpoint_id)
    while_open = await database.read_deliveries(endpoint_id)

    await transaction.commit()
    await repository.queue_events(endpoint_id)
    await slow.close()

    queued = await database.read_deliveries(endpoint_id)
    assert while_open == []
    assert [(one["order_id"], one["seq"]) for one in queued] == [(order_id, 3), (later, 1)]


async def test_concurrent_batches_queue_each_event_once(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    for _ in range(3):
        await database.insert_order()

    await asyncio.gather(*(repository.queue_events(endpoint_id) for _ in range(4)))

    assert len(await database.read_deliveries(endpoint_id)) == 6


async def test_a_page_is_queued_with_its_cursor_or_not_at_all(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order()
    before = await database.read_endpoint(endpoint_id)
    table = "ALTER TABLE webhooks.deliveries"
    await database.connection.execute(
        f"{table} ADD CONSTRAINT full_disk CHECK (event_type <> 'order_validated') NOT VALID"
    )
    with pytest.raises(IntegrityError):
        await repository.queue_events(endpoint_id)
    after = await database.read_endpoint(endpoint_id)
    await database.connection.execute(f"{table} DROP CONSTRAINT full_disk")

    await repository.queue_events(endpoint_id)

    assert after == before
    assert len(await database.read_deliveries(endpoint_id)) == 2


async def test_only_the_event_types_of_the_endpoint_are_queued(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL, "order_approved")
    await database.insert_order(4)

    await repository.queue_events(endpoint_id)

    queued = await database.read_deliveries(endpoint_id)
    assert [one["event_type"] for one in queued] == ["order_approved"]


async def test_a_long_feed_is_queued_page_by_page(
    repository: EndpointRepository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "_PAGE", 2)
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order(3)

    pages = [await repository.queue_events(endpoint_id) for _ in range(2)]

    assert [page and page.has_more for page in pages] == [True, False]
    assert len(await database.read_deliveries(endpoint_id)) == 3


async def test_events_stay_in_the_feed_while_too_many_messages_wait(
    repository: EndpointRepository,
    database: Database,
    engine_of: EngineOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queueing, "MAX_PENDING", 1)
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order(1)
    await repository.queue_events(endpoint_id)
    await database.insert_order(1)
    await repository.queue_events(endpoint_id)
    waiting = len(await database.read_deliveries(endpoint_id))

    await claim_and_record(DeliveryRepository(engine_of("webhooks"), POLICY), endpoint_id, ACCEPTED)
    await repository.queue_events(endpoint_id)

    assert waiting == 1
    assert len(await database.read_deliveries(endpoint_id)) == 2


@pytest.mark.parametrize("assignment", ["is_enabled = false", "deleted_at = now()"])
async def test_a_stopped_endpoint_queues_nothing(
    repository: EndpointRepository, database: Database, assignment: str
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    await database.update_endpoint(endpoint_id, assignment)
    await database.insert_order()

    assert await repository.queue_events(endpoint_id) is None
    assert await database.read_deliveries(endpoint_id) == []


async def test_events_of_the_time_when_an_endpoint_was_disabled_are_queued_afterwards(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    await database.update_endpoint(endpoint_id, "is_enabled = false")
    await database.insert_order()

    await database.update_endpoint(endpoint_id, "is_enabled = true")
    await repository.queue_events(endpoint_id)

    assert len(await database.read_deliveries(endpoint_id)) == 2


async def test_a_replaced_secret_signs_until_it_expires_and_is_then_deleted(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    now = datetime.now(UTC)
    await database.insert_secret(endpoint_id, OTHER_SECRET, now + timedelta(hours=1))
    await database.insert_secret(endpoint_id, "whsec_expired", now - timedelta(hours=1))

    endpoint = await repository.queue_events(endpoint_id)
    await repository.begin_batch(endpoint_id)

    assert endpoint is not None
    assert endpoint.secrets == (OTHER_SECRET, SECRET)
    count = "SELECT count(*) FROM webhooks.secrets WHERE endpoint_id = $1"
    assert await database.connection.fetchval(count, endpoint_id) == 2


async def test_an_endpoint_is_unattended_until_a_batch_begins_and_again_after_the_last_one(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    seen = [endpoint_id in await repository.list_unattended()]

    await repository.begin_batch(endpoint_id)
    seen.append(endpoint_id in await repository.list_unattended())
    await database.update_endpoint(endpoint_id, "checked_at = now() - interval '10 minutes'")
    seen.append(endpoint_id in await repository.list_unattended())
    await repository.begin_batch(endpoint_id)
    await repository.end_last_batch(endpoint_id)
    seen.append(endpoint_id in await repository.list_unattended())
    await database.update_endpoint(endpoint_id, "is_enabled = false")
    seen.append(endpoint_id in await repository.list_unattended())

    assert seen == [True, False, True, True, False]


async def test_a_deleted_endpoint_is_deleted_with_its_deliveries_by_its_last_batch(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order()
    await repository.queue_events(endpoint_id)
    await database.update_endpoint(endpoint_id, "is_enabled = false, deleted_at = now()")
    is_unattended = endpoint_id in await repository.list_unattended()

    await repository.end_last_batch(endpoint_id)

    assert is_unattended
    assert await database.read_endpoint(endpoint_id) is None
    assert await database.read_deliveries(endpoint_id) == []


async def test_old_records_of_completed_deliveries_are_deleted(
    repository: EndpointRepository, database: Database, engine_of: EngineOf
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order(2)
    await repository.queue_events(endpoint_id)
    await claim_and_record(DeliveryRepository(engine_of("webhooks"), POLICY), endpoint_id, ACCEPTED)
    await database.connection.execute(
        "UPDATE webhooks.deliveries SET delivered_at = now() - interval '31 days'"
        " WHERE endpoint_id = $1 AND state = 'delivered'",
        endpoint_id,
    )

    await repository.begin_batch(endpoint_id)

    assert [one["seq"] for one in await database.read_deliveries(endpoint_id)] == [2]


async def test_old_failures_are_deleted_where_the_order_was_archived(
    repository: EndpointRepository, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(_URL)
    archived, kept = [await database.insert_order(1) for _ in range(2)]
    await repository.queue_events(endpoint_id)
    await database.connection.execute(
        "UPDATE webhooks.deliveries SET state = 'failed', last_attempted_at = now() - interval"
        " '31 days' WHERE endpoint_id = $1",
        endpoint_id,
    )
    await database.delete_events(archived)

    await repository.begin_batch(endpoint_id)

    assert [one["order_id"] for one in await database.read_deliveries(endpoint_id)] == [kept]


async def test_what_waits_and_what_failed_are_metrics(
    repository: EndpointRepository, database: Database
) -> None:
    before = {one.name: one.value for one in await repository.read_gauges()}
    endpoint_id = await database.insert_endpoint(_URL)
    await database.insert_order(2)
    await repository.queue_events(endpoint_id)
    await database.connection.execute(
        "UPDATE webhooks.deliveries SET state = 'failed' WHERE endpoint_id = $1 AND seq = 1",
        endpoint_id,
    )
    await database.update_endpoint(endpoint_id, "is_enabled = false, disabled_reason = 'gone'")

    after = {one.name: one.value for one in await repository.read_gauges()}

    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM orders.orders",
        "SELECT * FROM orders.events",
        "SELECT owner FROM orders.published_event_feed",
        "INSERT INTO webhooks.endpoints (id, url) VALUES (gen_random_uuid(), 'https://x')",
        "UPDATE webhooks.secrets SET secret = 'whsec_x'",
        "CREATE TABLE webhooks.more (id int)",
    ],
)
async def test_the_services_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("webhooks").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret FROM webhooks.secrets",
        "SELECT * FROM webhooks.endpoints",
        "UPDATE webhooks.published_deliveries SET response_body = 'x'",
        "DELETE FROM webhooks.published_endpoints",
    ],
)
async def test_the_gateways_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("gateway").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))


async def test_the_published_views_have_the_columns_of_their_contracts(engine_of: EngineOf) -> None:
    async with engine_of("gateway").connect() as connection:
        for view, row in (
            (WEBHOOK_ENDPOINTS_VIEW, PublishedWebhookEndpoint),
            (WEBHOOK_DELIVERIES_VIEW, PublishedWebhookDelivery),
        ):
            found = await connection.execute(sa.text(f"TABLE {view} LIMIT 0"))
            assert list(found.keys()) == list(row.model_fields)
