"""A batch against a real HTTP server: order, independence of orders, and its end."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from webhooks_harness import SECRET, Database

from fuze_testing.webhook_receiver import (
    ReceivedWebhook,
    WebhookReceiver,
    build_response,
    serve_webhook_receiver,
)
from fuze_webhooks.address_guard import Resolver
from fuze_webhooks.batch import BatchRunner
from fuze_webhooks.delivery_repository import DeliveryPolicy, DeliveryRepository
from fuze_webhooks.repository import EndpointRepository
from fuze_webhooks.sender import WebhookSender

EngineOf = Callable[[str], AsyncEngine]

_LONG = timedelta(seconds=30)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with serve_webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
async def batches(engine_of: EngineOf) -> AsyncIterator[BatchRunner]:
    engine = engine_of("webhooks")
    resolver = Resolver()
    sender = WebhookSender(resolver, timedelta(seconds=2), allow_insecure=True)
    policy = DeliveryPolicy(
        lease=timedelta(seconds=4),
        retry_delays=[timedelta(seconds=0.02)] * 50,
        disable_after=timedelta(days=1),
    )
    yield BatchRunner(
        EndpointRepository(engine, timedelta(days=30)),
        DeliveryRepository(engine, policy),
        sender,
        poll_interval=timedelta(seconds=0.02),
        max_concurrent=4,
    )
    await sender.aclose()


async def run_until(batches: BatchRunner, endpoint_id: UUID, is_done: Callable[[], bool]) -> bool:
    """Run a batch until a condition is true, which it must become."""
    is_stopped = await batches.run(endpoint_id, _LONG, is_done)
    assert is_done()
    return is_stopped


async def test_the_events_of_each_order_arrive_in_order_through_failures(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    async def fail_each_first_attempt(request: ReceivedWebhook) -> bytes:
        attempts = [one for one in receiver.requests if one.message_id == request.message_id]
        return build_response(204 if len(attempts) > 1 else 500)

    receiver.respond = fail_each_first_attempt
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    orders = [await database.insert_order(4) for _ in range(6)]

    await run_until(batches, endpoint_id, lambda: len(receiver.accepted) == 24)

    arrived = defaultdict(list)
    for request in receiver.accepted:
        request.verify(SECRET)
        order_id, seq = request.event
        arrived[order_id].append(seq)
    assert arrived == {str(order_id): [1, 2, 3, 4] for order_id in orders}


async def test_an_order_whose_event_is_rejected_holds_back_no_other_order(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    rejected = str(await database.insert_order(3))
    others = [str(await database.insert_order(3)) for _ in range(3)]

    async def reject(request: ReceivedWebhook) -> bytes:
        return build_response(400 if request.event[0] == rejected else 204)

    receiver.respond = reject

    await run_until(batches, endpoint_id, lambda: len(receiver.accepted) == 9)

    assert {one.event[0] for one in receiver.accepted} == set(others)
    assert {one.event for one in receiver.requests if one.event[0] == rejected} == {(rejected, 1)}


async def test_an_event_of_an_archived_order_is_no_failure_of_the_endpoint(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database, engine_of: EngineOf
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    archived = await database.insert_order(1)
    await EndpointRepository(engine_of("webhooks"), timedelta(days=30)).queue_events(endpoint_id)
    await database.delete_events(archived)
    ends = iter([False, True])

    await batches.run(endpoint_id, _LONG, lambda: next(ends, True))

    [delivery] = await database.read_deliveries(endpoint_id)
    endpoint = await database.read_endpoint(endpoint_id)
    assert (delivery["state"], delivery["error"]) == ("failed", "the event exists no longer")
    assert endpoint is not None
    assert endpoint["failing_since"] is None


async def test_a_slow_message_delays_no_other_order(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    release = asyncio.Event()
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    slow = str(await database.insert_order(1))
    for _ in range(8):
        await database.insert_order(1)

    async def hang(request: ReceivedWebhook) -> bytes:
        if request.event[0] == slow:
            await release.wait()
        return build_response(204)

    receiver.respond = hang

    def others_arrived() -> bool:
        if len(receiver.accepted) == 8:
            release.set()
        return len(receiver.accepted) == 9

    await run_until(batches, endpoint_id, others_arrived)

    assert receiver.accepted[-1].event[0] == slow


async def test_an_event_that_is_recorded_during_a_batch_is_delivered_by_it(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    running = asyncio.create_task(
        run_until(batches, endpoint_id, lambda: len(receiver.accepted) == 2)
    )

    await database.insert_order(2)

    assert await running is False


async def test_a_batch_of_an_endpoint_that_is_gone_ends_the_endpoint(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    async def gone(_: ReceivedWebhook) -> bytes:
        return build_response(410)

    receiver.respond = gone
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    await database.insert_order(2)

    is_stopped = await batches.run(endpoint_id, _LONG, lambda: False)

    endpoint = await database.read_endpoint(endpoint_id)
    assert is_stopped
    assert endpoint is not None
    assert endpoint["disabled_reason"] == "gone"
    # A retry, which is due at once here, may begin before the batch reads the endpoint again.
    assert {request.event[1] for request in receiver.requests} == {1}


async def test_a_batch_ends_when_its_time_is_over_after_its_last_attempt(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    await database.insert_order(1)

    async def slow(_: ReceivedWebhook) -> bytes:
        await asyncio.sleep(0.3)
        return build_response(204)

    receiver.respond = slow

    is_stopped = await batches.run(endpoint_id, timedelta(seconds=0.2), lambda: False)

    [row] = await database.read_deliveries(endpoint_id)
    assert not is_stopped
    assert row["state"] == "delivered"


async def test_an_attempt_that_cannot_be_recorded_fails_the_batch_and_is_repeated_later(
    batches: BatchRunner, receiver: WebhookReceiver, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    await database.insert_order(1)
    table = "ALTER TABLE webhooks.deliveries"
    await database.connection.execute(
        f"{table} ADD CONSTRAINT full_disk CHECK (state <> 'delivered') NOT VALID"
    )
    with pytest.raises(Exception, match="full_disk"):
        await batches.run(endpoint_id, _LONG, lambda: False)
    await database.connection.execute(f"{table} DROP CONSTRAINT full_disk")
    await database.make_due(endpoint_id)

    await run_until(batches, endpoint_id, lambda: len(receiver.accepted) == 2)

    first, second = receiver.accepted
    assert first.message_id == second.message_id
