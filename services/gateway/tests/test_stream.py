"""An order's events as they happen."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from stand_in import Serve
from starlette.requests import ClientDisconnect
from starlette.types import Message
from temporalio.client import Client

from fuze_contracts.read_models import OrderProgressView
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.app import create_app
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.database import Database, Row, Statement
from fuze_gateway.feed import EventFeed, Reader, TooManyReadersError
from fuze_gateway.reads import OrderReads
from fuze_gateway.settings import GatewaySettings

Record = Callable[..., Awaitable[None]]

_SOON = timedelta(seconds=10)


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[EventFeed]:
    reads = OrderReads(database)
    feed = EventFeed(reads, poll=timedelta(seconds=0.02), most_readers=100)
    yield feed
    await feed.aclose()


async def happens(
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


async def read(reader: Reader | None, after: int = 0) -> list[int]:
    assert reader is not None
    async with asyncio.timeout(20):
        return [event.seq async for event in reader.events(after, heartbeat=_SOON) if event]


async def test_a_reader_gets_what_happened_and_what_happens_until_the_end(
    feed: EventFeed, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    reader = await feed.open(order_id)
    reading = asyncio.create_task(read(reader))

    await happens(postgres, order_id, 3)

    assert await reading == [1, 2, 3]


class Counted(Database):
    """A database that says what it was asked."""

    def __init__(self, settings: GatewaySettings) -> None:
        super().__init__(settings, "fuze-gateway-tests", settings.read_timeout)
        self.asked: list[str] = []

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        self.asked.append(statement.text)
        return await super().fetch(statement, **values)


async def test_many_readers_cost_as_many_queries_as_one(
    settings: GatewaySettings, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    database = Counted(settings)
    feed = EventFeed(OrderReads(database), poll=timedelta(seconds=0.02), most_readers=100)
    readers = [await feed.open(order_id) for _ in range(50)]
    reading = [asyncio.create_task(read(reader)) for reader in readers]

    await happens(postgres, order_id, 3)

    assert await asyncio.gather(*reading) == [[1, 2, 3]] * 50
    assert sum("published_events" in text for text in database.asked) == 2  # then, and since
    await feed.aclose()
    await database.aclose()


async def test_a_reader_goes_on_where_it_stopped(
    feed: EventFeed, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    await happens(postgres, order_id, 3)

    assert await read(await feed.open(order_id), after=2) == [3]


async def test_nobody_reads_an_order_that_is_not_there(feed: EventFeed, order_id: UUID) -> None:
    assert await feed.open(order_id) is None


async def test_silence_is_told_from_a_dead_line(
    feed: EventFeed, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    reader = await feed.open(order_id)
    assert reader is not None

    async for event in reader.events(2, heartbeat=timedelta(seconds=0.01)):
        assert event is None
        break


async def test_one_reader_too_many_is_sent_away_and_a_place_becomes_free(
    database: Database, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    reads = OrderReads(database)
    feed = EventFeed(reads, poll=timedelta(seconds=1), most_readers=1)
    reader = await feed.open(order_id)
    assert reader is not None

    with pytest.raises(TooManyReadersError):
        await feed.open(order_id)
    reader.close()

    assert await feed.open(order_id) is not None
    await feed.aclose()


async def test_a_reader_that_cannot_be_served_takes_no_place(
    no_database: Database, order_id: UUID
) -> None:
    reads = OrderReads(no_database)
    feed = EventFeed(reads, poll=timedelta(seconds=1), most_readers=1)
    for _ in range(2):
        with pytest.raises(SourceUnavailableError):
            await feed.open(order_id)


async def test_readers_are_let_go_when_the_process_stops(
    feed: EventFeed, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    reading = asyncio.create_task(read(await feed.open(order_id)))

    feed.hang_up()

    assert await reading in ([], [1, 2])


async def test_a_stream_speaks_as_browsers_understand_it(
    serve: Serve, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    await record(order_id)
    await happens(postgres, order_id, 3)
    async with serve() as http:
        answer = await http.get(f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "1"})
        again = await http.get(f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "3"})

    assert answer.headers["content-type"].startswith("text/event-stream")
    retry, *messages = answer.text.strip().split("\n\n")
    assert retry == "retry: 2000"
    fields = [dict(line.split(": ", 1) for line in message.splitlines()) for message in messages]
    assert [one["id"] for one in fields] == ["2", "3"]
    assert fields[1]["event"] == json.loads(fields[1]["data"])["type"] == "order_cancelled"
    assert again.status_code == 204


async def test_a_stream_ends_after_its_time_and_is_taken_up_again(
    serve: Serve, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    async with serve(stream_lifetime=timedelta(seconds=0.05)) as http, asyncio.timeout(10):
        answer = await http.get(f"/orders/{order_id}/events/stream")

    assert "id: 2" in answer.text


async def test_an_order_that_cannot_be_read_does_not_silence_the_others(
    database: Database, record: Record, postgres: EmbeddedPostgres, order_id: UUID
) -> None:
    class FailsOnce(OrderReads):
        has_failed = False

        async def progress(self, order_ids: Collection[UUID]) -> list[OrderProgressView]:
            if feed._task and not self.has_failed:
                self.has_failed = True
                raise ValueError("an event of a version that is not known here")
            return await super().progress(order_ids)

    reads = FailsOnce(database)
    feed = EventFeed(reads, poll=timedelta(seconds=0.02), most_readers=100)
    await record(order_id)
    reading = asyncio.create_task(read(await feed.open(order_id)))
    async with asyncio.timeout(10):
        while not reads.has_failed:
            await asyncio.sleep(0.01)

    await happens(postgres, order_id, 3)

    assert await reading == [1, 2, 3]
    await feed.aclose()


async def test_a_stream_of_no_order_is_a_problem(serve: Serve, order_id: UUID) -> None:
    async with serve() as http:
        absent = await http.get(f"/orders/{order_id}/events/stream")
        odd = await http.get(f"/orders/{order_id}/events/stream", headers={"Last-Event-ID": "-1"})

    assert [absent.status_code, odd.status_code] == [404, 422]


async def test_a_caller_that_hangs_up_before_the_first_message_leaves_its_place(
    settings: GatewaySettings, database: Database, record: Record, order_id: UUID, temporal: Client
) -> None:
    await record(order_id)
    app = create_app(
        settings.model_copy(update={"max_streams": 1}), database=database, client=temporal
    )

    async def hung_up() -> Message:
        return {"type": "http.disconnect"}

    async def nobody_listens(message: Message) -> None:
        raise OSError(f"nobody is there for {message['type']}")

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
                await app(dict(scope), hung_up, nobody_listens)

        assert await app.state.sources.feed.open(order_id) is not None
