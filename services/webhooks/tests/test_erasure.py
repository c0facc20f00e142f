"""The erasure of personal data in the webhooks service's schema."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from webhooks_harness import POLICY, Database

from fuze_contracts.erasure import OPERATIONS_OPEN, ErasePersonalData
from fuze_webhooks.delivery_repository import DeliveryRepository
from fuze_webhooks.erasure import WebhookErasure
from fuze_webhooks.messages import Attempt
from fuze_webhooks.repository import EndpointRepository

_ECHO = Attempt(response_status=400, response_body="no such person: Ada", error="Ada is unknown")


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("webhooks")


def _erase(*order_ids: UUID) -> ErasePersonalData:
    return ErasePersonalData(order_ids=order_ids, names=("ada",), pseudonym="erased-1")


async def _queue(database: Database, engine: AsyncEngine, orders: int) -> tuple[UUID, list[UUID]]:
    """Return an endpoint, and the orders of which an event is queued for it."""
    endpoint_id = await database.insert_endpoint("https://shop.example/")
    order_ids = [await database.insert_order(1) for _ in range(orders)]
    await EndpointRepository(engine, timedelta(days=1)).queue_events(endpoint_id)
    return endpoint_id, order_ids


async def test_what_an_endpoint_responded_about_erased_orders_is_erased(
    database: Database, engine: AsyncEngine
) -> None:
    repository = DeliveryRepository(engine, POLICY)
    endpoint_id, [erased, _] = await _queue(database, engine, 2)
    for delivery in await repository.claim(endpoint_id, 2):
        await repository.record(delivery, _ECHO)

    done = await WebhookErasure(engine).personal_data_erased(_erase(erased))

    assert done.rows == 1
    first, second = await database.read_deliveries(endpoint_id)
    assert (first["response_body"], first["error"]) == (None, "erased")
    assert (first["response_status"], first["attempts"]) == (400, 1)
    assert (second["response_body"], second["error"]) == (_ECHO.response_body, _ECHO.error)


async def test_an_erasure_is_retried_while_an_event_is_being_sent(
    database: Database, engine: AsyncEngine
) -> None:
    repository = DeliveryRepository(engine, POLICY)
    endpoint_id, [order_id] = await _queue(database, engine, 1)
    [delivery] = await repository.claim(endpoint_id, 1)

    with pytest.raises(ApplicationError) as refused:
        await WebhookErasure(engine).personal_data_erased(_erase(order_id))
    assert refused.value.type == OPERATIONS_OPEN
    await repository.record(delivery, _ECHO)
    await WebhookErasure(engine).personal_data_erased(_erase(order_id))

    [after] = await database.read_deliveries(endpoint_id)
    assert after["response_body"] is None
