"""The event stream of an order, and the broadcaster behind it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from gateway_harness import MakeKey, Record, Serve, bearer
from starlette.requests import ClientDisconnect
from starlette.types import Message
from temporalio.client import Client

from fuze_contracts.read_models import OrderProgressView
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.api_keys.commands import ApiKeyCommands
from fuze_gateway.app import create_app
from fuze_gateway.auth.principals import Role
from fuze_gateway.database import Database, Row, Statement
from fuze_gateway.orders.event_broadcaster import (
    EventBroadcaster,
    Subscription,
    TooManySubscriptionsError,
)
from fuze_gateway.orders.queries import OrderQueries
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.upstreams import UpstreamUnavailableError

_SOON = timedelta(seconds=10)


@pytest.fixture
async def broadcaster(database: Database) -> AsyncIterator[EventBroadcaster]:
    queries = OrderQueries(database)
    broadcaster = EventBroadcaster(
        queries,
        poll_interval=timedelta(seconds=0.02),
        max_subscriptions=100,
        max_subscriptions_per_caller=100,
    )
    yield broadcaster
    await broadcaster.aclose()


async def add_event(
    postgres: EmbeddedPostgres, order_id: UUID, seq: int, *, status: str = "cancelled"
) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
            " occurred_at) VALUES ($1, $2, 'order_cancelled', $3, 'none', 'ada', now())",
            *(order_id, seq, status),
        )
        await connection.execute(
            "UPDATE orders.orders SET status = $2, last_seq = $3 WHERE id = $1",
            *(order_id, status, seq),
        )
    await connection.close()


async def read(subscription: Subscription | None, after: int = 0) -> list[int]:
    assert subscription is not None
    async with asyncio.timeout(20):
        return [event.seq async for event in subscription.events(after, heartbeat=_SOON) if event]


async def test_a_subscription_yields_past_and_new_events_until_the_order_closes(
    broadcaster: EventBroadcaster, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    subscription = await broadcaster.subscribe(order_id)
    reading = asyncio.create_task(read(subscription))

    await add_event(postgres, order_id, 3)

    assert await reading == [1, 2, 3]


class RecordingDatabase(Database):
    """A database that records its statements."""

    def __init__(self, settings: GatewaySettings) -> None:
        super().__init__(settings, "fuze-gateway-tests", settings.read_timeout)
        self.statements: list[str] = []

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        self.statements.append(statement.text)
        return await super().fetch(statement, **values)


async def test_many_subscriptions_cost_as_many_queries_as_one(
    settings: GatewaySettings, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    database = RecordingDatabase(settings)
    broadcaster = EventBroadcaster(
        OrderQueries(database),
        poll_interval=timedelta(seconds=0.02),
        max_subscriptions=100,
        max_subscriptions_per_caller=100,
    )
    subscriptions = [await broadcaster.subscribe(order_id) for _ in range(50)]
    reading = [asyncio.create_task(read(subscription)) for subscription in subscriptions]

    await add_event(postgres, order_id, 3)

    assert await asyncio.gather(*reading) == [[1, 2, 3]] * 50
    assert (
        sum("published_events" in text for text in database.statements) == 2
    )  # at the first subscription, and the new event
    await broadcaster.aclose()
    await database.aclose()


async def test_a_subscription_resumes_after_an_event(
    broadcaster: EventBroadcaster, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    await add_event(postgres, order_id, 3)

    assert await read(await broadcaster.subscribe(order_id), after=2) == [3]


async def test_an_unknown_order_has_no_subscription(
    broadcaster: EventBroadcaster, order_id: UUID
) -> None:
    assert await broadcaster.subscribe(order_id) is None


async def test_an_idle_subscription_yields_heartbeats(
    broadcaster: EventBroadcaster, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    subscription = await broadcaster.subscribe(order_id)
    assert subscription is not None

    async for event in subscription.events(2, heartbeat=timedelta(seconds=0.01)):
        assert event is None
        break


async def test_the_limit_of_subscriptions_is_enforced_and_released(
    database: Database, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    queries = OrderQueries(database)
    broadcaster = EventBroadcaster(
        queries,
        poll_interval=timedelta(seconds=1),
        max_subscriptions=1,
        max_subscriptions_per_caller=1,
    )
    subscription = await broadcaster.subscribe(order_id)
    assert subscription is not None

    with pytest.raises(TooManySubscriptionsError):
        await broadcaster.subscribe(order_id)
    subscription.close()

    assert await broadcaster.subscribe(order_id) is not None
    await broadcaster.aclose()


async def test_a_caller_at_its_limit_does_not_keep_others_out(
    database: Database, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    broadcaster = EventBroadcaster(
        OrderQueries(database),
        poll_interval=timedelta(seconds=1),
        max_subscriptions=10,
        max_subscriptions_per_caller=1,
    )
    subscription = await broadcaster.subscribe(order_id, "busy")
    assert subscription is not None

    with pytest.raises(TooManySubscriptionsError):
        await broadcaster.subscribe(order_id, "busy")
    assert await broadcaster.subscribe(order_id, "other") is not None
    subscription.close()

    assert await broadcaster.subscribe(order_id, "busy") is not None
    await broadcaster.aclose()


async def test_a_caller_with_too_many_streams_gets_a_problem_that_says_what_to_do(
    serve: Serve, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    headers = bearer(await make_key(Role.VIEWER))
    secured = {"authentication": "required", "stream_lifetime": timedelta(seconds=0.5)}
    async with serve(**secured, max_streams_per_caller=1) as http:
        streams = [http.get(f"/orders/{order_id}/events/stream", headers=headers) for _ in "ab"]
        responses = await asyncio.gather(*streams)
        after_both = await http.get(f"/orders/{order_id}/events/stream", headers=headers)

    assert sorted(response.status_code for response in responses) == [200, 429]
    [refused] = [response.json() for response in responses if response.status_code == 429]
    assert refused["type"] == "/problems/too-many-streams"
    assert "Close one" in refused["detail"]
    assert after_both.status_code == 200


async def test_a_stream_ends_when_its_key_is_revoked(
    serve: Serve, make_key: MakeKey, database: Database, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    key = await make_key(Role.VIEWER)
    cache = timedelta(seconds=0.2)
    async with serve(authentication="required", api_key_cache_ttl=cache) as http:
        url = f"/orders/{order_id}/events/stream"
        reading = asyncio.create_task(http.get(url, headers=bearer(key)))
        await asyncio.sleep(0.3)
        assert not reading.done()

        await ApiKeyCommands(database).revoke(key.split("_")[1])

        async with asyncio.timeout(5):
            assert (await reading).status_code == 200


async def test_a_failed_subscription_does_not_count_towards_the_limit(
    no_database: Database, order_id: UUID
) -> None:
    queries = OrderQueries(no_database)
    broadcaster = EventBroadcaster(
        queries,
        poll_interval=timedelta(seconds=1),
        max_subscriptions=1,
        max_subscriptions_per_caller=1,
    )
    for _ in range(2):
        with pytest.raises(UpstreamUnavailableError):
            await broadcaster.subscribe(order_id)


async def test_subscriptions_end_at_shutdown(
    broadcaster: EventBroadcaster, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    reading = asyncio.create_task(read(await broadcaster.subscribe(order_id)))

    broadcaster.close_all()

    assert await reading in ([], [1, 2])


async def test_a_stream_follows_the_server_sent_events_format(
    serve: Serve, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    await add_event(postgres, order_id, 3)
    async with serve() as http:
        response = await http.get(
            f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "1"}
        )
        again = await http.get(f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "3"})

    assert response.headers["content-type"].startswith("text/event-stream")
    retry, *messages = response.text.strip().split("\n\n")
    assert retry == "retry: 2000"
    fields = [dict(line.split(": ", 1) for line in message.splitlines()) for message in messages]
    assert [one["id"] for one in fields] == ["2", "3"]
    assert fields[1]["event"] == json.loads(fields[1]["data"])["type"] == "order_cancelled"
    assert again.status_code == 204


async def test_a_stream_ends_after_its_lifetime(
    serve: Serve, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    async with serve(stream_lifetime=timedelta(seconds=0.05)) as http, asyncio.timeout(10):
        response = await http.get(f"/orders/{order_id}/events/stream")

    assert "id: 2" in response.text


async def test_an_unreadable_order_does_not_stop_the_other_streams(
    database: Database, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    class FailsOnce(OrderQueries):
        has_failed = False

        async def get_progress(self, order_ids: Collection[UUID]) -> list[OrderProgressView]:
            if broadcaster._task and not self.has_failed:
                self.has_failed = True
                raise ValueError("an event of an unknown version")
            return await super().get_progress(order_ids)

    queries = FailsOnce(database)
    broadcaster = EventBroadcaster(
        queries,
        poll_interval=timedelta(seconds=0.02),
        max_subscriptions=100,
        max_subscriptions_per_caller=100,
    )
    await record(order_id)
    reading = asyncio.create_task(read(await broadcaster.subscribe(order_id)))
    async with asyncio.timeout(10):
        while not queries.has_failed:
            await asyncio.sleep(0.01)

    await add_event(postgres, order_id, 3)

    assert await reading == [1, 2, 3]
    await broadcaster.aclose()


async def test_a_stream_of_an_unknown_order_or_an_invalid_event_id_is_a_problem(
    serve: Serve, order_id: UUID
) -> None:
    async with serve() as http:
        unknown = await http.get(f"/orders/{order_id}/events/stream")
        invalid = await http.get(
            f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "-1"}
        )

    assert [unknown.status_code, invalid.status_code] == [404, 422]


async def test_a_client_that_disconnects_before_the_first_message_releases_its_subscription(
    settings: GatewaySettings, database: Database, record: Record, order_id: UUID, temporal: Client
) -> None:
    await record(order_id)
    app = create_app(
        settings.model_copy(update={"max_streams": 1}), database=database, client=temporal
    )

    async def disconnect() -> Message:
        return {"type": "http.disconnect"}

    async def fail_to_send(message: Message) -> None:
        raise OSError(f"disconnected before {message['type']}")

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/orders/{order_id}/events/stream",
        "query_string": b"",
        "headers": [],
    }
    async with app.router.lifespan_context(app):
        for _ in range(3):
            with contextlib.suppress(OSError, ExceptionGroup, ClientDisconnect):
                await app(dict(scope), disconnect, fail_to_send)

        assert await app.state.services.broadcaster.subscribe(order_id) is not None
