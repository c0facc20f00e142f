"""Charging: the real SQL on a real PostgreSQL, the sandbox PSP with its real books."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from fuze_contracts.money import Money
from fuze_contracts.payment import PAYMENT_TOKEN_CONFLICT, Charged, ChargePayment, Declined
from fuze_devstack.sandbox.app import create_app
from fuze_devstack.sandbox.books import Books
from fuze_payment.activities import Payments
from fuze_payment.provider.sandbox import SandboxProvider
from fuze_payment.repository import PaymentRepository
from fuze_payment.tables import payments

EngineOf = Callable[[str], AsyncEngine]


@pytest.fixture
def books(tmp_path: Path) -> AsyncIterator[Books]:
    books = Books(tmp_path)
    yield books
    books.close()


@pytest.fixture
async def service(engine_of: EngineOf, books: Books) -> AsyncIterator[Payments]:
    transport = httpx.ASGITransport(create_app(books))
    async with httpx.AsyncClient(transport=transport, base_url="http://psp/psp/") as client:
        yield Payments(PaymentRepository(engine_of("payment")), SandboxProvider(client))


def _charge(order_id: UUID | None = None, *, amount_minor: int = 5997, method: str = "pm_card_visa",
            token: str | None = None) -> ChargePayment:  # fmt: skip
    order_id = order_id or uuid4()
    return ChargePayment(
        order_id=order_id,
        payment_token=token or f"{order_id}:1",
        amount=Money(amount_minor=amount_minor, currency="USD"),
        payment_method=method,
    )


async def _states(engine: AsyncEngine, order_id: UUID) -> list[str]:
    query = sa.select(payments.c.state).where(payments.c.order_id == order_id)
    async with engine.connect() as connection:
        return list((await connection.execute(query)).scalars())


async def test_a_charge_is_written_here_and_at_the_provider(
    service: Payments, books: Books, engine_of: EngineOf
) -> None:
    command = _charge()

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    [charge] = books.read("charges", order_id=str(command.order_id))
    assert charge["id"] == outcome.provider_reference
    assert charge["idempotency_key"] == str(outcome.payment_id)
    assert await _states(engine_of("payment"), command.order_id) == ["charged"]


async def test_two_hundred_attempts_under_one_token_charge_once(
    service: Payments, books: Books
) -> None:
    command = _charge()

    outcomes = await asyncio.gather(*(service.payment_charged(command) for _ in range(200)))

    assert len(set(outcomes)) == 1
    assert len(books.read("charges", order_id=str(command.order_id))) == 1


async def test_a_declined_card_is_an_outcome_and_stays_one(service: Payments, books: Books) -> None:
    command = _charge(method="pm_declined")

    first = await service.payment_charged(command)
    second = await service.payment_charged(command)

    assert isinstance(first, Declined)
    assert first.code == "card_declined"
    assert second == first
    assert len(books.read("charges", order_id=str(command.order_id))) == 1


async def test_a_free_order_is_charged_without_asking_the_provider(
    service: Payments, books: Books, engine_of: EngineOf
) -> None:
    command = _charge(amount_minor=0)
    books.set_available("psp", available=False)

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    assert outcome.provider_reference is None
    assert await _states(engine_of("payment"), command.order_id) == ["charged"]


async def test_a_token_that_was_used_for_something_else_is_a_conflict(service: Payments) -> None:
    command = _charge()
    await service.payment_charged(command)

    with pytest.raises(ApplicationError) as error:
        await service.payment_charged(_charge(token=command.payment_token))

    assert (error.value.type, error.value.non_retryable) == (PAYMENT_TOKEN_CONFLICT, True)


async def test_an_order_has_one_live_charge_whatever_the_token(
    service: Payments, books: Books
) -> None:
    command = _charge()
    await service.payment_charged(command)

    with pytest.raises(ApplicationError):
        await service.payment_charged(_charge(command.order_id, token=f"{command.order_id}:2"))
    assert len(books.read("charges", order_id=str(command.order_id))) == 1


async def test_an_outage_at_the_provider_leaves_a_claim_that_the_next_attempt_settles(
    service: Payments, books: Books, engine_of: EngineOf
) -> None:
    command = _charge()
    books.set_available("psp", available=False)
    with pytest.raises(httpx.HTTPStatusError):
        await service.payment_charged(command)
    assert await _states(engine_of("payment"), command.order_id) == ["claimed"]

    books.set_available("psp", available=True)

    assert isinstance(await service.payment_charged(command), Charged)
    assert len(books.read("charges", order_id=str(command.order_id))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments.payments",
        "CREATE TABLE payments.more (id int)",
        "SELECT * FROM orders.orders",
        "SELECT * FROM shipping.shipments",
    ],
)
async def test_the_services_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("payment").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))
