"""The erasure of a customer in the order service's schema."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from return_harness import NOW, create_shipped, read_events, request_return
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.erasure import ErasePersonalData
from fuze_contracts.order import PlaceOrder
from fuze_order.erasure_repository import ErasureRepository
from fuze_order.messages import EraseCustomer
from fuze_order.return_repository import ReturnRepository
from fuze_order.tables import events

Order = Callable[..., PlaceOrder]


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
def customer() -> str:
    return f"ada-{uuid4()}"


@pytest.fixture
async def shipped(engine: AsyncEngine, make_order: Order, customer: str) -> PlaceOrder:
    return await create_shipped(
        engine,
        lambda **changes: make_order(
            **changes, customer=customer, customer_name="Ada", placed_by=f"{customer} via a-shop"
        ),
    )


async def test_every_name_of_a_customer_is_found(
    engine: AsyncEngine, shipped: PlaceOrder, customer: str
) -> None:
    command = EraseCustomer(erasure_id=uuid4(), customer=customer, names=("a-login",))

    found = await ErasureRepository(engine).find(command)

    assert found.order_ids == (shipped.order_id,)
    assert set(found.names) == {customer, "Ada", "a-login"}


async def test_an_order_with_an_open_return_is_open(
    engine: AsyncEngine, shipped: PlaceOrder, customer: str
) -> None:
    repository = ErasureRepository(engine)
    assert await repository.list_open(customer) == []
    await ReturnRepository(engine).request(request_return(shipped), NOW)

    assert await repository.list_open(customer) == [shipped.order_id]


async def test_an_actor_is_replaced_and_the_other_one_stays(
    engine: AsyncEngine, shipped: PlaceOrder, customer: str
) -> None:
    command = ErasePersonalData(
        order_ids=(shipped.order_id,), names=(customer,), pseudonym="erased-1"
    )

    erased = [await ErasureRepository(engine).erase(command) for _ in range(2)]

    first, *others = await read_events(engine, shipped.order_id)
    assert erased == [1 + len(others)] * 2
    assert first.actor == "erased-1 via a-shop"
    assert others[0].actor != "erased-1"


async def test_the_service_cannot_change_an_event_in_another_way(
    engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    statement = sa.update(events).where(events.c.order_id == shipped.order_id)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="permission denied"):
            await connection.execute(statement.values(actor="another"))
